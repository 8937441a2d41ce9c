// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup"
)

// chatter is what fills a log up to 300 kB.
var chatter = slices.Repeat([]string{"(EngineCore pid=9) INFO 03-01 06:00:10 [loader.py:1] " + strings.Repeat("loading a shard of the weights ", 4)}, 1700)

// Bounds of the watcher while it reads logs.
const (
	mostRequests = 6   // for a start
	mostMB       = 120 // of memory
	mostLag      = time.Minute
)

// TestLogsAtScale measures the watcher's process while it reads 300 kB of log of each of many starts that go on at a time, and then
// are ready one after the other, as fast as they are told. It is off unless COLDTRACE_SCALE_LOGS says how many.
func TestLogsAtScale(t *testing.T) {
	starts := drillSize("COLDTRACE_SCALE_LOGS", 0)
	if starts == 0 {
		t.Skip("COLDTRACE_SCALE_LOGS is not set")
	}
	a, r := startAPI(t), newReceiver(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, a.kubeconfig(t), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COLDTRACE_DRILL_ALONE", "true")
	t.Setenv(envLeaderLogs, "all")
	l := newLeader(t, path, r.address)
	defer func() { l.end(syscall.SIGTERM) }()

	// each does something with all starts, so many at a time, and returns how long it took with each, sorted.
	each := func(slots int, f func(i int) error) []time.Duration {
		t.Helper()
		took := make([]time.Duration, starts)
		var all sync.WaitGroup
		next := make(chan int)
		for range slots {
			all.Go(func() {
				for i := range next {
					began := time.Now()
					if err := f(i); err != nil {
						t.Error(err)
					}
					took[i] = time.Since(began)
				}
			})
		}
		for i := range took {
			next <- i
		}
		close(next)
		all.Wait()
		slices.Sort(took)
		return took
	}
	began := time.Now()
	pods := make([]*scripted, starts)
	each(16, func(i int) error {
		s, err := a.createAs(t.Context(), podNamespace, fmt.Sprintf("scale-%d", i), argsOnly)
		if err != nil {
			return err
		}
		pods[i] = s
		if err := s.bind(t.Context()); err != nil {
			return err
		}
		if err := s.event(t.Context(), "Started", "Container started", "main"); err != nil {
			return err
		}
		a.logs.holds(s, longLog(s.started.Time))
		return s.status(t.Context(), true, corev1.PodReadyToStartContainers)
	})
	if t.Failed() {
		return
	}
	pause(time.Until(pods[starts-1].started.Add(35 * time.Second))) // a look at each
	t.Logf("%d starts of 300 kB in flight after %s: peak RSS %d MB, %.1f s of CPU", starts, time.Since(began).Round(time.Second),
		memory(t, l.cmd.Process.Pid, "VmHWM"), cpuSeconds(t, l.cmd.Process.Pid))

	lags := each(256, func(i int) error {
		if err := pods[i].status(t.Context(), true, corev1.ContainersReady, corev1.PodReady); err != nil {
			return err
		}
		if !r.wait(within(t, 5*time.Minute), func() bool { return r.named(pods[i].trace(), startup.SpanPodStartup) != nil }) {
			return fmt.Errorf("start %d did not come", i)
		}
		return nil
	})
	requests, most, inside := 0, 0, 0
	for _, s := range pods {
		n := a.logs.requests(s)
		requests, most = requests+n, max(most, n)
		r.wait(t.Context(), func() bool {
			if r.named(s.trace(), startup.SpanVLLMInit) != nil {
				inside++
			}
			return true
		})
	}
	if !r.wait(within(t, 30*time.Second), func() bool { return r.times(startup.MetricTotalDuration) >= starts }) {
		t.Error("not all starts are measured")
	}
	repeated, different := r.repeats()
	measured, mb := r.count(startup.MetricTotalDuration), memory(t, l.cmd.Process.Pid, "VmHWM")
	p50, p99 := lags[starts/2], lags[starts*99/100]
	t.Logf("%d starts of 300 kB, %d told inside: %.1f requests a start, %d at most; told p50 %s, p99 %s after they were ready; %d spans repeated, %d differently; measured %d times; peak RSS %d MB, %.1f s of CPU; %s in all",
		starts, inside, float64(requests)/float64(starts), most, p50.Round(time.Millisecond), p99.Round(time.Millisecond), repeated, len(different), measured, mb,
		cpuSeconds(t, l.cmd.Process.Pid), time.Since(began).Round(time.Second))
	for what, bad := range map[string]bool{
		fmt.Sprintf("more than %d requests for a start", mostRequests): most > mostRequests,
		fmt.Sprintf("more than %d MB", mostMB):                         mb > mostMB,
		fmt.Sprintf("told more than %s after it was ready", mostLag):   p99 > mostLag,
		"a start is not told inside":                                   inside < starts,
		"a span is told twice, though nobody was killed":               repeated > 0,
		"a start is measured more than once":                           measured != starts,
	} {
		if bad {
			t.Error(what)
		}
	}
}

// longLogs are what longLog made, by the second that they begin in: 5,000 of them would be 1.5 GB.
var longLogs sync.Map

// longLog is a log of 300 kB, of a container that started then.
func longLog(started time.Time) string {
	from := started.Truncate(time.Second).Add(time.Second)
	text, ok := longLogs.Load(from.Unix())
	if !ok {
		text, _ = longLogs.LoadOrStore(from.Unix(), written(from, slices.Concat(ofVLLM[:3], chatter, ofVLLM[3:])))
	}
	return text.(string)
}
