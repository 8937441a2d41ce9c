// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	kuberecord "k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Checkpoint is the name of the ConfigMap that holds what a watcher goes on from.
const Checkpoint = "coldtrace-watcher"

const (
	checkpointInterval    = time.Second // between two writes, at least
	checkpointPace        = 20 << 10    // bytes a second: 2,000 starts in flight are 50 kB, whose writing each second takes an eighth of the watcher's work
	maxCheckpointInterval = 10 * time.Second
	settle                = 500 * time.Millisecond // how long a phase whose edges could still get more precise waits for its events
	exportWorkers         = 4                      // exports at a time
	defaultLogAnswer      = 10 * time.Second
)

// Exporter is where spans and measurements go: otlp.Exporter. Nil means that the receiver accepted them.
type Exporter interface {
	ExportSpans(ctx context.Context, subject startup.Subject, spans []startup.Span) error
	ExportMeasurements(ctx context.Context, ms []startup.Measurement) error
}

// Config is what a Watcher needs.
//
// Its client needs, in the whole cluster: get, list, watch on pods, events and namespaces; get on nodes. In its own namespace:
// create on configmaps; get and update on the configmap Checkpoint. In LogNamespaces: get on pods/log.
type Config struct {
	REST      *rest.Config
	Namespace string // its own, of the checkpoint
	// Owners, if set, are what the checkpoint belongs to, at the time.
	Owners   func() []metav1.OwnerReference
	Policy   func() *config.Policy
	Exporter Exporter
	// Inside is where the spans of what happens inside of containers go, as the wrapper's do; Exporter if it is nil.
	Inside  Exporter
	Version string
	Log     logr.Logger
	// Metrics are registered here if it is not nil.
	Metrics prometheus.Registerer

	// Tracer, if set, gets a span of each batch of a list or watch that it samples.
	Tracer trace.Tracer
	// OnPod, if set, sees every version of every pod of the namespaces. It must neither block nor change it.
	OnPod func(*corev1.Pod)
	// OnRefusal, if set, sees every event of the namespaces that tells of a pod which could not be created. It must not block.
	OnRefusal func(*corev1.Event)

	// LogNamespaces are those whose containers' logs may be read, "*" all; none: what happens inside is the wrapper's to tell.
	LogNamespaces []string
	LogAnswer     time.Duration // how long a kubelet may be silent; 10 s if 0
	// Events writes to pods what became of their starts, unless the policy has that off; nil: nothing is written.
	Events kuberecord.EventRecorder

	Timeout time.Duration // after which a start is given up; pod.DefaultTimeout if 0
	// MaxWaiting bounds the finished starts that wait for the receiver; about 40 MB of them if 0. Those beyond it are
	// read from the API again when the receiver is back.
	MaxWaiting int
	Clock      clock.WithTicker // the real one if nil
}

// Watcher exports the phases of starts that the API server can tell about. The leader starts it.
type Watcher struct {
	cfg     Config
	client  kubernetes.Interface
	nodes   *nodes
	metrics *metrics
	queue   workqueue.TypedDelayingInterface[types.UID]
	logs    workqueue.TypedInterface[types.UID] // starts whose log is to be read
	gate    gate
	outbox  outbox
	inbox   outbox // of what happens inside
	notices *rate.Limiter

	mu         sync.Mutex
	namespaces map[string]*namespace
	starts     map[types.UID]*start
	waiting    int // starts that have ended and wait for the receiver
	orphans    orphans
	groups     group.Table
	silent     map[string]time.Time // nodes whose kubelet did not answer, until when they are not asked
	restored   *record              // what the checkpoint said when this watcher began
	dirty      bool                 // there is news for the checkpoint

	namespacesListed bool // a namespace that is not in namespaces does not carry the label
	began            time.Time
	term             string // a name for it
	version          string // of the checkpoint, as it was read or written last; one goroutine at a time uses it
	checkpointSize   int    // bytes, of the last one; likewise
}

// New checks the configuration. It does not connect.
func New(cfg Config) (*Watcher, error) {
	switch {
	case cfg.REST == nil:
		return nil, errors.New("watcher: a REST configuration is required")
	case cfg.Namespace == "":
		return nil, errors.New("watcher: the own namespace is required")
	case cfg.Policy == nil:
		return nil, errors.New("watcher: a policy is required")
	case cfg.Exporter == nil:
		return nil, errors.New("watcher: an exporter is required")
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, pod.DefaultTimeout)
	cfg.MaxWaiting = cmp.Or(cfg.MaxWaiting, defaultMaxWaiting)
	cfg.LogAnswer = cmp.Or(cfg.LogAnswer, defaultLogAnswer)
	cfg.Inside = cmp.Or(cfg.Inside, cfg.Exporter)
	cfg.Clock = cmp.Or[clock.WithTicker](cfg.Clock, clock.RealClock{})
	// Pods come as protobuf, several times cheaper to decode, and streams must not wait for each other's tokens.
	proto := rest.CopyConfig(cfg.REST)
	proto.ContentType = "application/vnd.kubernetes.protobuf"
	proto.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	proto.QPS, proto.Burst = 100, 200
	client, err := kubernetes.NewForConfig(proto)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	meta, err := metadata.NewForConfig(proto)
	if err != nil {
		return nil, fmt.Errorf("make a metadata client: %w", err)
	}
	w := &Watcher{cfg: cfg, client: client, nodes: newNodes(meta), outbox: newOutbox(cfg.Exporter), inbox: newOutbox(cfg.Inside), notices: rate.NewLimiter(noticesASec, noticesAtOnce)}
	w.metrics = newMetrics(w)
	if cfg.Metrics != nil {
		if err := w.metrics.register(cfg.Metrics); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// begin is a term's empty state: what there is to know is in the checkpoint and with the API server.
func (w *Watcher) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.namespaces, w.namespacesListed = map[string]*namespace{}, false
	w.starts, w.waiting, w.orphans = map[types.UID]*start{}, 0, orphans{}
	w.groups = group.Table{}
	w.silent = map[string]time.Time{}
	w.restored, w.dirty, w.version, w.term = nil, false, "", uuid.NewString()
	w.gate.reset()
	w.queue = workqueue.NewTypedDelayingQueue[types.UID]()
	w.logs = workqueue.NewTyped[types.UID]()
	w.began = w.cfg.Clock.Now()
}

// queued is what waits to be looked at or sent. Between terms there is no queue.
func (w *Watcher) queued() float64 {
	w.mu.Lock()
	queue := w.queue
	w.mu.Unlock()
	n := w.outbox.len() + w.inbox.len()
	if queue != nil {
		n += queue.Len()
	}
	return float64(n)
}

// end forgets the term's starts: they are the next leader's.
func (w *Watcher) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.starts)
}

// Start watches until the context ends, then writes the last checkpoint. It may be called again, for another term, once
// it has returned.
func (w *Watcher) Start(ctx context.Context) error {
	w.begin()
	defer w.end()
	if err := w.restore(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	w.cfg.Log.Info("Watching.", "namespaces", config.NamespaceSelector, "timeout", w.cfg.Timeout, "inFlight", len(w.starts))
	var streams, workers sync.WaitGroup
	streams.Go(func() { w.watchNamespaces(ctx) })
	for range exportWorkers {
		workers.Go(func() { w.work(ctx) })
	}
	if len(w.cfg.LogNamespaces) > 0 {
		for range logReaders {
			workers.Go(func() { w.listen(ctx) })
		}
	}
	for _, o := range []*outbox{&w.outbox, &w.inbox} {
		workers.Go(func() { o.run(ctx, w) })
	}
	workers.Go(func() { w.saveOften(ctx) })
	<-ctx.Done()
	w.queue.ShutDown()
	w.logs.ShutDown()
	streams.Wait()
	workers.Wait()
	// What was accepted must be known to the next leader, or it would be sent again.
	saved, err := w.saveOnce(ctx)
	w.outbox.flush(ctx, w)
	w.inbox.flush(ctx, w)
	switch {
	case err != nil:
		return fmt.Errorf("write the last checkpoint: %w", err)
	case !saved:
		w.cfg.Log.Info("Another leader has taken over; its checkpoint stays.")
	}
	return nil
}
