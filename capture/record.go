// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/startup/pod"
	"github.com/coldtrace/coldtrace/watch/stream"
)

// Options say what to capture.
type Options struct {
	Namespace string
	Selector  string // label selector of pods; empty: all
	// Follow records every version of the pods until the context ends. Otherwise the capture is what the API server
	// has at the moment, which is enough for starts that went well.
	Follow bool
	Failed func(error) // told of what went wrong while following
	// Inside reads what the log of a pod's container tells; nil: logs are not read.
	Inside func(ctx context.Context, p *corev1.Pod) []pod.Span
}

// Write writes the pods and events of a namespace as a YAML stream that Read reads, cut down to what the timeline reads.
func Write(ctx context.Context, client kubernetes.Interface, opts Options, out io.Writer) error {
	r := &recorder{inside: opts.Inside, pods: map[string]*recordedPod{}, events: map[string]*corev1.Event{}, nodes: map[string]bool{}}
	pods, events := r.streams(client, opts)
	if opts.Follow {
		var streams sync.WaitGroup
		streams.Go(func() { pods.Run(ctx) })
		streams.Go(func() { events.Run(ctx) })
		streams.Wait()
	} else {
		for _, s := range []*stream.Stream{pods, events} {
			if _, err := s.List(ctx); err != nil {
				return err
			}
		}
	}
	// The context of a followed capture has ended; the nodes are still to be asked.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return r.write(ctx, client, out)
}

// recorder gathers versions of pods and the last version of each event.
type recorder struct {
	mu     sync.Mutex
	pods   map[string]*recordedPod // by UID
	order  []string
	events map[string]*corev1.Event // by name
	nodes  map[string]bool
	inside func(ctx context.Context, p *corev1.Pod) []pod.Span
}

type recordedPod struct {
	last     *corev1.Pod // as it is; nil: it is gone
	versions []*corev1.Pod
	texts    []string
}

func (r *recorder) streams(client kubernetes.Interface, opts Options) (pods, events *stream.Stream) {
	pods = stream.Of("pods", client.CoreV1().Pods(opts.Namespace), nil)
	pods.Label = opts.Selector
	pods.Upsert = func(o runtime.Object) { r.pod(o.(*corev1.Pod), opts.Follow, false) }
	pods.Remove = func(o runtime.Object) { r.pod(o.(*corev1.Pod), opts.Follow, true) }
	events = stream.Of("events", client.CoreV1().Events(opts.Namespace), nil)
	events.Field = pod.EventFields
	events.Upsert = func(o runtime.Object) { r.event(o.(*corev1.Event)) }
	if opts.Failed != nil {
		failed := func(verb string, err error) { opts.Failed(fmt.Errorf("%s: %w", verb, err)) }
		pods.Failed, events.Failed = failed, failed
	}
	return pods, events
}

func (r *recorder) pod(p *corev1.Pod, follow, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.pods[string(p.UID)]
	if known == nil {
		known = &recordedPod{}
		r.pods[string(p.UID)] = known
		r.order = append(r.order, string(p.UID))
	}
	known.last = p
	if gone {
		known.last = nil
	}
	redacted := redactPod(p)
	text, err := yaml.Marshal(redacted)
	if err != nil || slices.Contains(known.texts, string(text)) && !gone {
		return // what changed is nothing that the timeline reads
	}
	known.texts = append(known.texts, string(text))
	if follow {
		metav1.SetMetaDataAnnotation(&redacted.ObjectMeta, SeenAnnotation, time.Now().UTC().Format(time.RFC3339Nano))
	}
	if gone {
		metav1.SetMetaDataAnnotation(&redacted.ObjectMeta, goneAnnotation, "true")
	}
	known.versions = append(known.versions, redacted)
	if p.Spec.NodeName != "" {
		r.nodes[p.Spec.NodeName] = true
	}
}

func (r *recorder) event(e *corev1.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if redacted := RedactEvent(e); redacted != nil {
		r.events[e.Name] = redacted
	}
}

// places are what is in the names of a node's labels that tell its GPUs and place.
var places = []string{"gpu", "accelerator", "instance-type", "topology.kubernetes.io", "failure-domain"}

func placeLabels(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	maps.DeleteFunc(out, func(key, _ string) bool {
		return !slices.ContainsFunc(places, func(of string) bool { return strings.Contains(key, of) })
	})
	return out
}

func (r *recorder) write(ctx context.Context, client kubernetes.Interface, out io.Writer) error {
	docs := []any{Header{
		TypeMeta: metav1.TypeMeta{APIVersion: APIVersion, Kind: Kind},
		Taken:    metav1.NowMicro(), Probes: true,
	}}
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			continue // it may be gone, or none of the caller's business; its labels are not essential
		}
		docs = append(docs, metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: placeLabels(node.Labels)},
		})
	}
	for _, id := range r.order {
		for _, version := range r.pods[id].versions {
			docs = append(docs, version)
		}
		if last := r.pods[id].last; r.inside != nil && last != nil {
			if spans := r.inside(ctx, last); len(spans) > 0 {
				docs = append(docs, phasesOf(last.UID, spans))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.events)) {
		if r.pods[string(r.events[name].InvolvedObject.UID)] != nil {
			docs = append(docs, r.events[name])
		}
	}
	for i, doc := range docs {
		text, err := yaml.Marshal(doc)
		if err != nil {
			return fmt.Errorf("encode the capture: %w", err)
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := out.Write(text); err != nil {
			return fmt.Errorf("write the capture: %w", err)
		}
	}
	return nil
}
