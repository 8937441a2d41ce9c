// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

// all are the phases of a name that ended well.
func (s *start) all(is func(n *trace.Node) bool) (out []*trace.Node) {
	for _, n := range s.nodes {
		if !n.Failed && !n.Open && is(n) {
			out = append(out, n)
		}
	}
	return out
}

func named(name string) func(*trace.Node) bool {
	return func(n *trace.Node) bool { return n.Name == name }
}

// room are reasons of the scheduler that more nodes, or other ones, would do away with: not that a volume is missing or is in
// another zone.
var room = regexp.MustCompile(`insufficient_|too_many_pods|taints|node_affinity|topology_spread|quota|node_unschedulable|no_nodes`)

// noRoom says whether the scheduler found no node that had any, and none was being made.
func (s *start) noRoom(n *trace.Node) bool {
	return room.MatchString(s.whyPending(n)) && len(s.all(named(startup.SpanNodeProvisioning))) == 0
}

// but is how long a phase would be if only its parts of a name remained.
func but(name string) func(*start, *trace.Node) time.Duration {
	return func(_ *start, n *trace.Node) (remains time.Duration) {
		for _, c := range n.Children {
			if c.Name == name {
				remains += c.Duration()
			}
		}
		return remains
	}
}

// whyPending are the reasons for which the scheduler found no node, as it last said.
func (s *start) whyPending(n *trace.Node) (why string) {
	for _, e := range n.Events {
		for _, a := range e.Attributes {
			if e.Name == startup.EventFailedSchedule && a.Key == startup.AttrReasons {
				why = strings.Trim(a.Text(), "[]")
			}
		}
	}
	return why
}

// pulledElsewhere says how many other starts found the image on their node.
func (s *start) pulledElsewhere(n *trace.Node) string {
	if hits := s.peers.hits(s.Trace, n); hits > 0 {
		return fmt.Sprintf("on other nodes it was there (starts: %d)", hits)
	}
	return ""
}

// initContainers that ran one after the other, but for the longest. One that ran again, as all do after a restart of the pod's
// containers, is one.
func (s *start) initContainers() (Lengths, string) {
	ran := map[any]bool{startup.InstallName: true}
	run := s.all(func(n *trace.Node) bool {
		name := n.Get(startup.AttrContainerName)
		if n.Name != startup.SpanInitContainer || ran[name] {
			return false
		}
		ran[name] = !n.Failed
		return true
	})
	slices.SortFunc(run, func(a, b *trace.Node) int { return int(b.Duration() - a.Duration()) })
	lengths := Lengths{}
	var seen []string
	for i, n := range run {
		apart := !slices.ContainsFunc(run, func(o *trace.Node) bool {
			return o != n && o.Start.Before(n.End) && n.Start.Before(o.End) // a sidecar, or beside one
		})
		if apart && i > 0 {
			lengths[n] = 0
		}
		seen = append(seen, took(n))
	}
	if len(lengths) == 0 {
		return nil, ""
	}
	return lengths, strings.Join(seen, ", ")
}

// inEngine says whether a download is the engine's own, in its init.
func (s *start) inEngine(n *trace.Node) bool { return s.engines[n] != nil }

// downloads are those before the engine starts.
func (s *start) downloads() []*trace.Node {
	return s.all(func(n *trace.Node) bool { return strings.HasSuffix(n.Name, startup.DownloadSuffix) && !s.inEngine(n) })
}

// streams are the engines that can load weights from where they are.
var streams = []string{"vllm", "sglang"}

// downloadThenLoad: of the two, done at once, the longer would remain.
func (s *start) downloadThenLoad() (Lengths, string) {
	if !slices.Contains(streams, s.engine) {
		return nil, ""
	}
	loads := s.all(named(startup.SpanWeightsLoad))
	downloads := s.downloads()
	if len(loads) != 1 || len(downloads) != 1 || downloads[0].End.After(loads[0].Start) {
		return nil, ""
	}
	shorter := loads[0]
	if downloads[0].Duration() < shorter.Duration() {
		shorter = downloads[0]
	}
	return Lengths{shorter: 0}, took(downloads[0]) + ", then " + took(loads[0])
}

// compileDominates: compiling and capturing are more than half of what the engine does, and no cache was hit.
func (s *start) compileDominates() (Lengths, string) {
	var (
		lengths     = Lengths{}
		seen        []string
		sum, engine time.Duration
	)
	for _, n := range s.all(func(n *trace.Node) bool {
		return (n.Name == startup.SpanTorchCompile || n.Name == startup.SpanCUDAGraphCapture) && s.inEngine(n)
	}) {
		if n.Get("compile_cache") == "hit" {
			return nil, ""
		}
		lengths[n] = 0
		sum += n.Duration()
		seen = append(seen, took(n))
	}
	for _, n := range s.all(named(s.engine + startup.InitSuffix)) {
		engine += n.Duration()
	}
	if len(lengths) < 2 || !ofVLLM(s, nil) || 2*sum < engine {
		return nil, ""
	}
	return lengths, strings.Join(seen, ", ") + " of " + text.Seconds(engine)
}

// failedAttempts are those, of init containers too, and the waits after them.
func (s *start) failedAttempts() (Lengths, string) {
	var (
		lengths = Lengths{}
		reasons = s.outcome.Reasons()
		failed  int
		waits   time.Duration
	)
	for _, n := range s.nodes {
		initFailed := n.Name == startup.SpanInitContainer && n.Failed
		switch {
		case n.Name == startup.SpanRestartBackoff:
			lengths[n] = 0
			waits += n.Duration()
		case initFailed || n.Group && n.Failed:
			lengths[n] = 0
			failed++
		}
		if initFailed && !slices.Contains(reasons, n.Reason()) {
			reasons = append(reasons, n.Reason())
		}
	}
	if failed == 0 {
		return nil, ""
	}
	if s.outcome.Failed() {
		lengths = nil
	}
	return lengths, fmt.Sprintf("%s failed (%s), with %s of back-off", text.Plural(failed, "attempt"), strings.Join(reasons, ", "), text.Seconds(waits))
}

// cuts are reasons of a pod that the cluster ended.
var cuts = []string{"Evicted", "PreemptionByScheduler", "TerminationByKubelet", "EvictionByEvictionAPI", "DeletionByTaintManager", "Preempted"}

func (s *start) cutShort() (Lengths, string) {
	for _, reason := range s.outcome.Reasons() {
		if slices.Contains(cuts, reason) {
			return nil, reason + " after " + text.Seconds(s.Took())
		}
	}
	return nil, ""
}
