// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/watch"
)

func newWatcher(t testing.TB, cfg *rest.Config, endpoint string, metrics prometheus.Registerer, change ...func(*watch.Config)) *watch.Watcher {
	t.Helper()
	exporter, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{
		Endpoint: "http://" + endpoint, Protocol: startup.ProtocolGRPC, Version: "test", Service: startup.ServiceWatcher,
	})
	if err != nil {
		t.Fatal(err)
	}
	policy := config.Default()
	c := watch.Config{
		REST: cfg, Namespace: ownNamespace, Exporter: exporter, Version: "test", Log: logr.Discard(), Metrics: metrics,
		Policy: func() *config.Policy { return policy },
	}
	for _, f := range change {
		f(&c)
	}
	w, err := watch.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// run starts a watcher and returns how to stop it.
func run(t *testing.T, w *watch.Watcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the watcher ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

var simpleSpans = []string{
	startup.SpanPodStartup, startup.SpanPodPending, startup.SpanSandboxCreating, startup.SpanImagePull,
	startup.SpanContainerCreating, startup.SpanPodReady,
}

func (r *receiver) complete(trace string) func() bool {
	return func() bool {
		for _, name := range simpleSpans {
			if r.named(trace, name) == nil {
				return false
			}
		}
		return true
	}
}

// told is complete with what happened inside.
func (r *receiver) told(trace string) func() bool {
	return func() bool {
		for _, name := range insideSpans {
			if r.named(trace, name) == nil {
				return false
			}
		}
		return r.complete(trace)()
	}
}

func TestAWatcherOnARealAPIServer(t *testing.T) {
	a := startAPI(t)
	r := newReceiver(t)
	before, err := a.create(t.Context(), podNamespace, "before")
	if err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewRegistry()
	stop := run(t, newWatcher(t, a.rest, r.address, metrics))

	t.Run("tells a start that was in flight before the watcher came", func(t *testing.T) {
		if err := before.play(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		if !r.wait(within(t, 20*time.Second), r.complete(before.trace())) {
			t.Fatalf("spans are missing: %v", r.spans[before.trace()])
		}
	})
	t.Run("exports a phase before the start is over", func(t *testing.T) {
		scheduled(t, a, r, "early")
	})
	t.Run("tells of a pod that is deleted before it is ready", func(t *testing.T) {
		s, err := a.create(t.Context(), podNamespace, "deleted")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.bind(t.Context()); err != nil {
			t.Fatal(err)
		}
		zero := int64(0)
		if err := a.client.CoreV1().Pods(podNamespace).Delete(t.Context(), "deleted", metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
			t.Fatal(err)
		}
		if !r.wait(within(t, 10*time.Second), func() bool {
			root := r.named(s.trace(), startup.SpanPodStartup)
			return root != nil && root.Status.GetMessage() == "deleted"
		}) {
			t.Fatal("the failed start did not come")
		}
	})
	t.Run("marks every span as its annotation wants it sampled, and measures all the same", func(t *testing.T) {
		for value, want := range map[string]int64{"keep": startup.KeepPriority, "drop": -1} {
			measured := r.points.Load()
			s, err := a.create(t.Context(), podNamespace, "priority-"+value, map[string]string{"coldtrace.io/startup-traces": value})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.play(t.Context(), func() {}); err != nil {
				t.Fatal(err)
			}
			if !r.wait(within(t, 20*time.Second), r.complete(s.trace())) {
				t.Fatal("spans are missing")
			}
			r.wait(t.Context(), func() bool {
				for _, name := range simpleSpans {
					if got := priority(r.named(s.trace(), name)); got != want {
						t.Errorf("%s, %s: sampling.priority %d, want %d", value, name, got, want)
					}
				}
				return true
			})
			if !r.wait(within(t, 20*time.Second), func() bool { return r.points.Load() > measured }) {
				t.Errorf("%s: nothing was measured", value)
			}
		}
	})
	t.Run("follows a namespace from when it gets the label until it loses it", func(t *testing.T) {
		label := func(value string) {
			ns, err := a.client.CoreV1().Namespaces().Get(t.Context(), "elsewhere", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ns.Labels["coldtrace.io/inject"] = value
			if _, err := a.client.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := a.create(t.Context(), "elsewhere", "newcomer")
		if err != nil {
			t.Fatal(err)
		}
		label("enabled")
		if err := s.play(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		if !r.wait(within(t, 10*time.Second), r.complete(s.trace())) {
			t.Fatal("spans are missing")
		}
		label("disabled")
	})
	t.Run("waits for a receiver that is away", func(t *testing.T) {
		r.broken.Store(true)
		s, err := a.create(t.Context(), podNamespace, "outage")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.play(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		retried := func() bool {
			n, _ := testutil.GatherAndCount(metrics, "coldtrace_watch_export_retries_total")
			return n > 0
		}
		if !retried() {
			t.Fatal("there is no counter of retries")
		}
		r.broken.Store(false)
		if !r.wait(within(t, 20*time.Second), r.complete(s.trace())) {
			t.Fatal("spans are missing")
		}
	})
	t.Run("does not repeat what was delivered, and completes what was in flight, after a restart", func(t *testing.T) {
		s := scheduled(t, a, r, "across")
		stop()
		stop = run(t, newWatcher(t, a.rest, r.address, nil))
		again, err := a.create(t.Context(), podNamespace, "after")
		if err != nil {
			t.Fatal(err)
		}
		if err := again.play(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []func() error{
			func() error { return s.event(t.Context(), "Pulling", "Pulling image", "main") },
			func() error { return s.event(t.Context(), "Pulled", "Successfully pulled image \"x\" in 5ms", "main") },
			func() error { return s.event(t.Context(), "Started", "Container started", "main") },
			func() error {
				return s.status(t.Context(), true, "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")
			},
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		for _, trace := range []string{s.trace(), again.trace()} {
			if !r.wait(within(t, 20*time.Second), r.complete(trace)) {
				t.Fatalf("spans are missing: %v", r.spans[trace])
			}
		}
	})
	stop()
	if repeated, _ := r.repeats(); repeated != 0 {
		t.Errorf("%d spans came twice", repeated)
	}
	if r.points.Load() == 0 {
		t.Error("no measurement came")
	}
	problems, err := testutil.GatherAndLint(metrics)
	if err != nil || len(problems) != 0 {
		t.Error(fmt.Sprint(problems, err))
	}
}

// priority is the span's numeric sampling.priority, 0 if it has none.
func priority(s *tracepb.Span) int64 {
	for _, a := range s.Attributes {
		if a.Key == startup.AttrSamplingPriority {
			return a.Value.GetIntValue()
		}
	}
	return 0
}

// later is the real clock, some time on: to it the pods of a test are old.
type later struct {
	clock.RealClock
	by time.Duration
}

func (l later) Now() time.Time                  { return l.RealClock.Now().Add(l.by) }
func (l later) Since(t time.Time) time.Duration { return l.Now().Sub(t) }

func TestAPodThatAnAnnotationForcesIsTracedWithoutTheLabelThatOthersNeed(t *testing.T) {
	a := startAPI(t)
	r := newReceiver(t)
	run(t, newWatcher(t, a.rest, r.address, prometheus.NewRegistry(), func(c *watch.Config) {
		policy := config.Default()
		policy.Selection.RequireLabel, policy.Selection.LabelKey = true, "example.test/endpoint"
		c.Policy = func() *config.Policy { return policy }
	}))
	other, err := a.create(t.Context(), podNamespace, "other")
	if err != nil {
		t.Fatal(err)
	}
	forced, err := a.create(t.Context(), podNamespace, "forced", map[string]string{"coldtrace.io/inject": "true"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*scripted{other, forced} {
		if err := s.play(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if !r.wait(within(t, 20*time.Second), r.complete(forced.trace())) {
		t.Error("no trace of the pod that is forced")
	}
	if r.wait(t.Context(), func() bool { return true }); len(r.spans[other.trace()]) > 0 {
		t.Error("a trace of a pod without the label")
	}
}

func TestAStartThatWasOverBeforeTheFirstListIsToldIfItEndedJustNow(t *testing.T) {
	a := startAPI(t)
	over, err := a.create(t.Context(), podNamespace, "over")
	if err != nil {
		t.Fatal(err)
	}
	if err := over.play(t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		later time.Duration
		told  bool
	}{
		"nine minutes ago":   {9 * time.Minute, true},
		"eleven minutes ago": {11 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			err := a.client.CoreV1().ConfigMaps(ownNamespace).Delete(t.Context(), watch.Checkpoint, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			w := newWatcher(t, a.rest, r.address, nil, func(c2 *watch.Config) { c2.Clock = later{by: c.later} })
			stop := run(t, w)
			open, err := a.create(t.Context(), podNamespace, "open-"+strings.ReplaceAll(name, " ", "-"))
			if err != nil {
				t.Fatal(err)
			}
			if err := open.play(t.Context(), func() {}); err != nil {
				t.Fatal(err)
			}
			want := []string{open.trace()}
			if c.told {
				want = append(want, over.trace())
			}
			for _, trace := range want {
				if !r.wait(within(t, 20*time.Second), r.complete(trace)) {
					t.Fatal("spans are missing")
				}
			}
			stop()
			if got := len(r.spans[over.trace()]) != 0; got != c.told {
				t.Errorf("told: %v", got)
			}
		})
	}
}

// scheduled is a pod that was bound to its node, and of which the watcher has told that much.
func scheduled(t *testing.T, a *api, r *receiver, name string) *scripted {
	t.Helper()
	s, err := a.create(t.Context(), podNamespace, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.wait(within(t, 10*time.Second), func() bool { return r.named(s.trace(), startup.SpanPodPending) != nil }) {
		t.Fatal("pod_pending did not come")
	}
	return s
}
