// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

// Peers are what other starts reached where this one could have, too.
type Peers struct {
	seen map[string][]reached
	hit  map[string]map[string]int // starts that found an image, by image and node
}

// reached is a figure of one start.
type reached struct {
	trace, node string
	figure      float64
}

// leastPeers are as many starts as it takes to say what is usual.
const leastPeers = 3

// mostPeers are as many as it takes to be sure: each start is compared with all of them.
const mostPeers = 200

// Of is what these starts reached. A start is no peer of itself.
func Of(starts []*trace.Trace) *Peers {
	p := &Peers{seen: map[string][]reached{}, hit: map[string]map[string]int{}}
	for _, t := range starts {
		p.observe(t)
	}
	return p
}

func (p *Peers) observe(t *trace.Trace) {
	node := t.Value(startup.ResourceNodeName, startup.AttrNodeName)
	t.Walk(func(n *trace.Node) {
		if key, figure := peerFigure(t, n); key != "" && len(p.seen[key]) < mostPeers {
			p.seen[key] = append(p.seen[key], reached{t.ID, node, figure})
		}
		if n.Name == startup.SpanImagePull && !n.Failed && !n.Open && !moved(n) && t.Value(startup.AttrImageTag) != "" {
			key := imageKey(t, n)
			if p.hit[key] == nil {
				p.hit[key] = map[string]int{}
			}
			p.hit[key][node]++
		}
	})
}

// peerFigure is what spans of the same key can be compared by: throughput, in 10^6 bytes per second, or 1 / seconds where
// bytes are unknown and the work is the same. Empty where there is nothing to compare.
func peerFigure(t *trace.Trace, n *trace.Node) (key string, figure float64) {
	if n.Failed || n.Open || n.Duration() < time.Second {
		return "", 0
	}
	rate, _ := n.Get(startup.AttrThroughputMBps).(float64)
	switch {
	case n.Name == startup.SpanImagePull && rate > 0 && t.Value(startup.AttrImageTag) != "" && moved(n):
		return imageKey(t, n), rate
	case strings.HasSuffix(n.Name, startup.DownloadSuffix) && rate > 0 && t.Value(startup.AttrModelName) != "":
		return n.Name + " " + t.Value(startup.AttrModelName), rate
	case n.Name == startup.SpanWeightsLoad && t.Value(startup.AttrModelName) != "":
		return strings.Join([]string{n.Name, t.Value(startup.AttrModelName), t.Value(startup.AttrNumGPUs), t.Value(startup.AttrGPUType)}, " "), 1 / n.Duration().Seconds()
	}
	return "", 0
}

// moved says whether the bytes of an image came over the network. They did not where the kubelet found it; nor where it went
// through its size more quickly than a node can unpack: with imagePullPolicy Always it asks the registry and finds that all is
// there, or a snapshotter mounts the image and loads it lazily.
func moved(n *trace.Node) bool {
	rate, _ := n.Get(startup.AttrThroughputMBps).(float64)
	return n.Get(startup.AttrCached) != true && rate < mostUnpacked
}

// mostUnpacked is beyond what a node pulls and unpacks, in 10^6 bytes per second: 16 Gbit/s of compressed layers.
const mostUnpacked = 2000

// imageKey is of the same image, as far as a start tells: a tag alone, such as v1, is of many.
func imageKey(t *trace.Trace, n *trace.Node) string {
	return n.Phase() + " " + t.Value(startup.AttrEndpointName) + " " + t.Value(startup.AttrImageTag)
}

// hits are how many starts on other nodes found the image that n pulls there.
func (p *Peers) hits(t *trace.Trace, n *trace.Node) (hits int) {
	if p == nil || t.Value(startup.AttrImageTag) == "" {
		return 0
	}
	own := t.Value(startup.ResourceNodeName, startup.AttrNodeName)
	for node, starts := range p.hit[imageKey(t, n)] {
		if node != own {
			hits += starts
		}
	}
	return hits
}

// usual is the median of what other starts reached; 0 where there are too few. With elsewhere, they are of other nodes.
func (p *Peers) usual(t *trace.Trace, n *trace.Node, elsewhere bool) float64 {
	if p == nil {
		return 0
	}
	key, _ := peerFigure(t, n)
	node := t.Value(startup.ResourceNodeName, startup.AttrNodeName)
	var figures []float64
	for _, r := range p.seen[key] {
		if r.trace != t.ID && (!elsewhere || r.node != node) {
			figures = append(figures, r.figure)
		}
	}
	if len(figures) < leastPeers {
		return 0
	}
	return startup.Median(figures)
}

// farBelow is less than this part of what is usual.
const farBelow = 0.5

// slower is a rule's condition: the span reached less than half of what others did.
func slower(elsewhere bool) func(*start, *trace.Node) bool {
	return func(s *start, n *trace.Node) bool {
		_, figure := peerFigure(s.Trace, n)
		return figure > 0 && figure < farBelow*s.peers.usual(s.Trace, n, elsewhere)
	}
}

// othersReach says what the others' throughput is.
func othersReach(elsewhere bool) func(*start, *trace.Node) string {
	return func(s *start, n *trace.Node) string {
		return "others reach " + text.Size(s.peers.usual(s.Trace, n, elsewhere)*1e6) + "/s"
	}
}

// asUsual is how long the span would be at what is usual. What it waited in the kubelet's queue, it would wait all the same.
func asUsual(elsewhere bool) func(*start, *trace.Node) time.Duration {
	waited := but(startup.SpanImagePullQueued)
	return func(s *start, n *trace.Node) time.Duration {
		_, figure := peerFigure(s.Trace, n)
		queued := waited(s, n)
		return queued + time.Duration(float64(n.Duration()-queued)*figure/s.peers.usual(s.Trace, n, elsewhere))
	}
}
