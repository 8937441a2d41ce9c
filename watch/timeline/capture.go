// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// Capture is the first document of a capture. After it come nodes, pods and events as the API server printed them, cut
// down to what the timeline reads; a pod may come several times, as its versions did.
type Capture struct {
	metav1.TypeMeta `json:",inline"`
	Taken           metav1.MicroTime `json:"taken"` // spans that are open are so as of then
}

// Type of the first document.
const (
	CaptureAPIVersion = "coldtrace.io/v1"
	CaptureKind       = "Capture"
)

// SeenAnnotation is, in a capture, when a version of a pod was seen, where that matters.
const SeenAnnotation = "capture.coldtrace.io/seen"

// Start is the start of one pod of a capture.
type Start struct {
	Subject startup.Subject
	Timeline
}

// Finished are the spans that the watcher would have exported: those that are not open.
func (s *Start) Finished() []startup.Span {
	var out []startup.Span
	for i := range s.Spans {
		if !s.Spans[i].Open {
			out = append(out, s.Spans[i].Span)
		}
	}
	return out
}

// FromCapture reads a capture and tells the start of each of its pods, in the order of the file, whether the policy would
// have selected them or not.
func FromCapture(r io.Reader) ([]Start, error) {
	c, err := readCapture(r)
	if err != nil {
		return nil, err
	}
	var out []Start
	for _, id := range c.order {
		p := c.pods[id]
		facts := &Facts{}
		for _, version := range p.versions {
			facts.Pod(version, seenAt(version, c.taken))
		}
		s := Start{Subject: p.subject(c.nodes[facts.Node])}
		facts.Target = s.Subject.ContainerName
		for _, e := range c.events[id] {
			facts.Event(e)
		}
		if p.gone {
			facts.Gone(c.taken)
		}
		s.Subject.NodeName = facts.Node
		s.Timeline = facts.Build(c.taken, 0)
		out = append(out, s)
	}
	return out, nil
}

// seenAt is when a version of a pod was seen.
func seenAt(p *corev1.Pod, taken time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, p.Annotations[SeenAnnotation]); err == nil {
		return t
	}
	return taken
}

type captured struct {
	taken  time.Time
	nodes  map[string]map[string]string
	pods   map[types.UID]*capturedPod
	order  []types.UID
	events map[types.UID][]*corev1.Event
}

type capturedPod struct {
	versions []*corev1.Pod
	gone     bool
}

func (p *capturedPod) subject(node map[string]string) startup.Subject {
	pod := p.versions[0]
	s := inject.Selected(inject.Request{Pod: endpoint.FromPod(pod), Namespace: pod.Namespace, Policy: config.Default()})
	subject := s.Identity.WithNode(node).Subject(string(pod.UID), pod.Name, "", "", s.Settings.TraceID)
	subject.InstanceType = endpoint.Identity{}.WithNode(node).InstanceType
	return subject
}

func readCapture(r io.Reader) (*captured, error) {
	c := &captured{
		nodes:  map[string]map[string]string{},
		pods:   map[types.UID]*capturedPod{},
		events: map[types.UID][]*corev1.Event{},
	}
	docs := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = c.add(doc)
		}
		if err != nil {
			return nil, fmt.Errorf("read document %d of the capture: %w", n, err)
		}
	}
	if c.taken.IsZero() {
		return nil, fmt.Errorf("no %s document: this is no capture", CaptureKind)
	}
	return c, nil
}

func (c *captured) add(doc []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	switch kind.Kind {
	case "":
		return nil // an empty document, or only comments
	case CaptureKind:
		var header Capture
		if err := yaml.UnmarshalStrict(doc, &header); err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		c.taken = header.Taken.Time
	case "Node":
		var node metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(doc, &node); err != nil {
			return fmt.Errorf("parse a node: %w", err)
		}
		c.nodes[node.Name] = node.Labels
	case "Pod":
		pod := new(corev1.Pod)
		if err := yaml.Unmarshal(doc, pod); err != nil {
			return fmt.Errorf("parse a pod: %w", err)
		}
		known := c.pods[pod.UID]
		if known == nil {
			known = &capturedPod{}
			c.pods[pod.UID] = known
			c.order = append(c.order, pod.UID)
		}
		known.versions = append(known.versions, pod)
		known.gone = pod.Annotations[GoneAnnotation] != ""
	case "Event":
		event := new(corev1.Event)
		if err := yaml.Unmarshal(doc, event); err != nil {
			return fmt.Errorf("parse an event: %w", err)
		}
		c.events[event.InvolvedObject.UID] = append(c.events[event.InvolvedObject.UID], event)
	default:
		return fmt.Errorf("a %s is not part of a capture", kind.Kind)
	}
	return nil
}

// GoneAnnotation marks, in a capture, the last version of a pod that was deleted while it was taken.
const GoneAnnotation = "capture.coldtrace.io/gone"
