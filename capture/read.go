// SPDX-License-Identifier: Apache-2.0

package capture

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
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Header is the first document of a capture. After it come nodes, pods and events as the API server printed them, cut
// down to what the timeline reads; a pod may come several times, as its versions did. Phases are what logs told.
type Header struct {
	metav1.TypeMeta `json:",inline"`
	Probes          bool             `json:"probes,omitempty"` // containers are told with which probes they have
	Taken           metav1.MicroTime `json:"taken"`            // spans that are open are so as of then
}

// Type of the first document.
const (
	APIVersion = "coldtrace.io/v1"
	Kind       = "Capture"
)

// Annotations of versions of a pod in a capture.
const (
	SeenAnnotation = "capture.coldtrace.io/seen" // when it was, where that matters
	goneAnnotation = "capture.coldtrace.io/gone" // the last one of a pod that was deleted while the capture was taken
)

// Start is the start of one pod of a capture.
type Start struct {
	Subject startup.Subject
	pod.Timeline
	Inside []pod.Span // what the log of the pod's container told, if that was asked for
}

// Starts tells the start of each pod of a capture, in the order of the file, whether the policy would have selected them
// or not.
func Starts(r io.Reader) ([]Start, error) {
	f, err := Read(r)
	if err != nil {
		return nil, err
	}
	out := make([]Start, 0, len(f.Pods))
	for _, p := range f.Pods {
		facts := p.Facts(f.Taken)
		s := Start{Subject: p.subject(f.nodes[facts.Node]), Inside: p.Inside}
		facts.Target, s.Subject.NodeName = s.Subject.Container, facts.Node
		s.Timeline = facts.Build(f.Taken, 0)
		out = append(out, s)
	}
	return out, nil
}

// File is a capture as it was read.
type File struct {
	Taken time.Time
	Pods  []*Pod

	probes bool
	nodes  map[string]map[string]string // labels
	known  map[types.UID]*Pod           // those of Pods, and those of which only events have come yet
}

// Pod is a pod of a capture.
type Pod struct {
	Versions []*corev1.Pod // as they came
	Events   []*corev1.Event
	Inside   []pod.Span
	gone     bool
}

// Facts are all that is known of the pod.
func (p *Pod) Facts(taken time.Time) *pod.Facts {
	facts := &pod.Facts{}
	for _, version := range p.Versions {
		facts.Pod(version, SeenAt(version, taken))
	}
	for _, e := range p.Events {
		facts.Event(e)
	}
	if p.gone {
		facts.Gone(taken)
	}
	return facts
}

// SeenAt is when a version of a pod was seen, if it says so, else when the capture was taken.
func SeenAt(p *corev1.Pod, taken time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, p.Annotations[SeenAnnotation]); err == nil {
		return t
	}
	return taken
}

func (p *Pod) subject(node map[string]string) startup.Subject {
	first := p.Versions[0]
	s := inject.Selected(inject.Request{Pod: endpoint.FromPod(first), Namespace: first.Namespace, Policy: config.Default()})
	subject := s.Identity.WithNode(node).Subject(string(first.UID), first.Name, "", "", s.Settings.TraceID)
	subject.InstanceType = endpoint.Identity{}.WithNode(node).InstanceType
	return subject
}

// Read reads a capture.
func Read(r io.Reader) (*File, error) {
	f := &File{nodes: map[string]map[string]string{}, known: map[types.UID]*Pod{}}
	docs := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = f.add(doc)
		}
		if err != nil {
			return nil, fmt.Errorf("read document %d of the capture: %w", n, err)
		}
	}
	if f.Taken.IsZero() {
		return nil, fmt.Errorf("no %s document: this is no capture", Kind)
	}
	return f, nil
}

func (f *File) pod(id types.UID) *Pod {
	if f.known[id] == nil {
		f.known[id] = &Pod{}
	}
	return f.known[id]
}

func (f *File) add(doc []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	switch kind.Kind {
	case "":
		return nil // an empty document, or only comments
	case Kind:
		var header Header
		if err := yaml.UnmarshalStrict(doc, &header); err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		f.Taken, f.probes = header.Taken.Time, header.Probes
	case "Node":
		var node metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(doc, &node); err != nil {
			return fmt.Errorf("parse a node: %w", err)
		}
		f.nodes[node.Name] = node.Labels
	case "Pod":
		version := new(corev1.Pod)
		if err := yaml.Unmarshal(doc, version); err != nil {
			return fmt.Errorf("parse a pod: %w", err)
		}
		for i := range version.Spec.Containers {
			if c := &version.Spec.Containers[i]; !f.probes { // nobody wrote down whether it has one
				c.ReadinessProbe = &corev1.Probe{}
			}
		}
		known := f.pod(version.UID)
		if known.Versions == nil {
			f.Pods = append(f.Pods, known)
		}
		known.Versions = append(known.Versions, version)
		known.gone = version.Annotations[goneAnnotation] != ""
	case "Event":
		event := new(corev1.Event)
		if err := yaml.Unmarshal(doc, event); err != nil {
			return fmt.Errorf("parse an event: %w", err)
		}
		known := f.pod(event.InvolvedObject.UID)
		known.Events = append(known.Events, event)
	case kindPhases:
		var inside Phases
		if err := yaml.UnmarshalStrict(doc, &inside); err != nil {
			return fmt.Errorf("parse phases: %w", err)
		}
		spans, err := inside.spans()
		if err != nil {
			return err
		}
		f.pod(inside.PodUID).Inside = spans
	default:
		return fmt.Errorf("a %s is not part of a capture", kind.Kind)
	}
	return nil
}
