// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/inject"
)

const (
	eventQueue  = 256              // decisions waiting to be written; more are dropped and counted
	eventMemory = 4096             // owners whose last Event is remembered
	eventRepeat = 30 * time.Minute // the same Event on the same owner is written again after this long
)

var events = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "coldtrace_admission_events_total",
	Help: "Events on the owners of pods, by what became of them: written, repeated, dropped, failed.",
}, []string{"result"})

// Events writes decisions to the pods' owners, behind the admission path: kubectl describe shows them there, where the
// person looks who misses a trace.
type Events struct {
	client kubernetes.Interface
	log    logr.Logger
	now    func() time.Time
	queue  chan event

	mu   sync.Mutex
	last map[types.UID]written
}

type event struct {
	namespace string
	owner     Owner
	outcome   inject.Outcome
	message   string
}

type written struct {
	message string
	at      time.Time
}

// NewEvents makes a writer; it must be added to the manager.
func NewEvents(client kubernetes.Interface, log logr.Logger) *Events {
	return &Events{client: client, log: log, now: time.Now, queue: make(chan event, eventQueue), last: map[types.UID]written{}}
}

// Observe takes a decision to be written. It never blocks.
func (e *Events) Observe(s *Subject, d *inject.Decision) {
	if s.DryRun || s.Owner.UID == "" || d.Outcome == inject.Already {
		return
	}
	select {
	case e.queue <- event{s.Namespace, s.Owner, d.Outcome, reasons(d)}:
	default:
		events.WithLabelValues("dropped").Inc()
	}
}

// NeedLeaderElection is false: every replica tells of the pods that it saw.
func (e *Events) NeedLeaderElection() bool { return false }

// Start writes Events until the context ends.
func (e *Events) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-e.queue:
			if e.repeated(ev) {
				events.WithLabelValues("repeated").Inc()
				continue
			}
			e.write(ctx, ev)
		}
	}
}

func (e *Events) write(ctx context.Context, ev event) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := e.client.CoreV1().Events(ev.namespace).Create(ctx, ev.object(e.now()), metav1.CreateOptions{})
	if err != nil {
		// Only told: a namespace that is being deleted takes no Events, and nothing depends on them.
		events.WithLabelValues("failed").Inc()
		e.log.V(1).Info("An Event was not written", "namespace", ev.namespace, "owner", ev.owner.Name, "error", err.Error())
		return
	}
	events.WithLabelValues("written").Inc()
}

// repeated remembers the last Event of an owner, for as many owners as there is room.
func (e *Events) repeated(ev event) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	uid, now := types.UID(ev.owner.UID), e.now()
	if w, ok := e.last[uid]; ok && w.message == ev.message && now.Sub(w.at) < eventRepeat {
		return true
	}
	if len(e.last) >= eventMemory {
		clear(e.last) // a repeat now and then is cheaper than an order
	}
	e.last[uid] = written{ev.message, now}
	return false
}

func (ev event) object(now time.Time) *corev1.Event {
	reason, kind, text := "ColdtraceInjected", corev1.EventTypeNormal, "Pods are traced from creation to ready: "
	switch ev.outcome {
	case inject.Skipped:
		reason, text = "ColdtraceSkipped", "Pods are left as they are: "
	case inject.Failed:
		reason, kind, text = "ColdtraceFailed", corev1.EventTypeWarning, "A pod was admitted unchanged: "
	}
	stamp := metav1.NewTime(now)
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "coldtrace-", Namespace: ev.namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: ev.owner.APIVersion, Kind: ev.owner.Kind, Name: ev.owner.Name,
			UID: types.UID(ev.owner.UID), Namespace: ev.namespace,
		},
		Reason: reason, Type: kind, Message: text + ev.message,
		Source:         corev1.EventSource{Component: "coldtrace"},
		FirstTimestamp: stamp, LastTimestamp: stamp, Count: 1,
		ReportingController: "coldtrace.io/webhook",
	}
}
