// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/watch"
)

// envLeaderDies is at which of its doings a leader is killed, such as "spans 3 before".
const envLeaderDies = "COLDTRACE_DRILL_DIES"

// What a leader does that can be its last.
const (
	doesSpans      = "spans"
	doesValues     = "values"
	doesGroup      = "group" // values, a group's among them
	doesCheckpoint = "checkpoint"
)

// death kills the process at the n-th of something, before it is done or before anybody knows that it is. The zero value never does.
type death struct {
	what  string
	n     int64
	after bool
	seen  atomic.Int64
}

func newDeath(text string) (*death, error) {
	d := &death{}
	if text == "" {
		return d, nil
	}
	var when string
	if _, err := fmt.Sscan(text, &d.what, &d.n, &when); err != nil {
		return nil, fmt.Errorf("%s=%q: %w", envLeaderDies, text, err)
	}
	d.after = when == "after"
	return d, nil
}

func (d *death) around(do func() error, what ...string) error {
	last := slices.Contains(what, d.what) && d.seen.Add(1) == d.n
	if last && !d.after {
		die()
	}
	err := do()
	if last {
		die()
	}
	return err
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// mortal is an exporter that can die of it.
type mortal struct {
	watch.Exporter
	*death
}

func (m mortal) ExportSpans(ctx context.Context, subject startup.Subject, spans []startup.Span) error {
	return m.around(func() error { return m.Exporter.ExportSpans(ctx, subject, spans) }, doesSpans)
}

func (m mortal) ExportMeasurements(ctx context.Context, ms []startup.Measurement) error {
	what := []string{doesValues}
	if slices.ContainsFunc(ms, func(m startup.Measurement) bool { return m.Metric == startup.MetricGroupDuration }) {
		what = append(what, doesGroup)
	}
	return m.around(func() error { return m.Exporter.ExportMeasurements(ctx, ms) }, what...)
}

// transport sees what goes to the API server.
func (d *death) transport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (answer *http.Response, err error) {
		if r.Method == http.MethodGet || !strings.Contains(r.URL.Path, "/configmaps") {
			return next.RoundTrip(r)
		}
		_ = d.around(func() error { answer, err = next.RoundTrip(r); return err }, doesCheckpoint)
		return answer, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A group is measured once, whenever the process is killed that tells it. The one exception is what it was sending then: a value that
// was sent twice would count twice, so nobody sends it again.
func TestAGroupIsMeasuredOnceWheneverItsLeaderIsKilled(t *testing.T) {
	a, r := startAPI(t), newReceiver(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, a.kubeconfig(t), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COLDTRACE_DRILL_ALONE", "true")
	measured := func(name string) (n int) {
		for _, p := range r.values[startup.MetricGroupDuration] {
			if strings.HasPrefix(p.labels, "endpoint_name="+name+" ") {
				n += int(p.count) //nolint:gosec // small
			}
		}
		return n
	}
	want := map[string]int{}
	play := func(t *testing.T, name string) (pods []*scripted) {
		t.Helper()
		for member := range 3 {
			pod := lwsPod(name, member, 3, "a")
			pod.Labels["endpoint_name"] = name
			pods = append(pods, a.mustCreate(t, pod))
		}
		mustPlay(t, pods[1], pods[2])
		pause(1100 * time.Millisecond) // so that the leader's start is in another checkpoint
		mustPlay(t, pods[0])
		return pods
	}
	allTold := func(t *testing.T, pods ...*scripted) {
		t.Helper()
		for _, s := range pods {
			if !r.wait(within(t, time.Minute), r.complete(s.trace())) {
				t.Errorf("%s is not told", s.pod.Name)
			}
		}
	}
	for i, dies := range []string{
		"spans 1 before", "spans 2 after", "spans 3 before",
		"checkpoint 1 before", "checkpoint 1 after", "checkpoint 2 before", "checkpoint 2 after",
		"values 1 before", "values 1 after", "group 1 before", "group 1 after",
	} {
		t.Run(dies, func(t *testing.T) {
			name := fmt.Sprintf("killed-%02d", i)
			t.Setenv(envLeaderDies, dies)
			first := newLeader(t, path, r.address)
			pods := play(t, name)
			ended := make(chan struct{})
			go func() {
				_ = first.cmd.Wait()
				close(ended)
			}()
			select {
			case <-ended:
			case <-within(t, time.Minute).Done():
				t.Fatal("it has not done that")
			}
			inFlight := false
			r.wait(t.Context(), func() bool { inFlight = measured(name) == 0; return true })
			inFlight = inFlight && told(t, a, name, pods[0])
			t.Setenv(envLeaderDies, "")
			second := newLeader(t, path, r.address)
			allTold(t, pods...)
			if want[name] = 1; inFlight {
				want[name] = 0
			} else if !r.wait(within(t, time.Minute), func() bool { return measured(name) > 0 }) {
				t.Error("the group is not measured")
			}
			if inFlight != (dies == "group 1 before") && !strings.HasPrefix(dies, doesCheckpoint) && !strings.HasPrefix(dies, doesValues) {
				t.Errorf("in flight: %v", inFlight)
			}
			second.end(syscall.SIGTERM)
		})
	}
	t.Run("while the receiver takes no values", func(t *testing.T) {
		const name = "killed-unheard"
		t.Setenv(envLeaderDies, "")
		first := newLeader(t, path, r.address)
		r.deaf.Store(true)
		mustPlay(t, a.mustCreate(t, endpointPod(podNamespace, name)))
		await(t, "a value to be refused", func() bool { return r.refused.Load() > 0 })
		allTold(t, play(t, name)...)
		first.end(syscall.SIGKILL)
		r.deaf.Store(false)
		second := newLeader(t, path, r.address)
		if !r.wait(within(t, time.Minute), func() bool { return measured(name) > 0 }) {
			t.Error("the group is not measured")
		}
		second.end(syscall.SIGTERM)
		want[name] = 1
	})
	r.wait(t.Context(), func() bool {
		for name, n := range want {
			if got := measured(name); got != n {
				t.Errorf("%s was measured %d times, want %d", name, got, n)
			}
		}
		return true
	})
	if _, different := r.repeats(); len(different) > 0 {
		t.Errorf("repeats are not what they were: %s", different)
	}
}

// told tells whether the checkpoint has a group as told.
func told(t *testing.T, a *api, name string, leader *scripted) bool {
	t.Helper()
	checkpoint, err := a.client.CoreV1().ConfigMaps(ownNamespace).Get(t.Context(), watch.Checkpoint, metav1.GetOptions{})
	if err != nil {
		return false // killed before its first
	}
	part := group.Part{Name: string(startup.GroupLeader), Generation: string(leader.pod.UID)}
	known, err := watch.Remembers(checkpoint.BinaryData, part.ID(podNamespace, "lws/"+name+"/0"))
	if err != nil {
		t.Fatal(err)
	}
	return known
}
