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

// TestLogsAtScale measures the watcher's process while it reads 300 kB of log of each of many starts that go on at a time, and are
// ready at a time. It is off unless COLDTRACE_SCALE_LOGS says how many.
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

	pods := make([]*scripted, starts)
	each := func(f func(i int) error) {
		t.Helper()
		var all sync.WaitGroup
		slots := make(chan struct{}, 16)
		for i := range pods {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				if err := f(i); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	each(func(i int) error {
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
		a.logs.mu.Lock()
		a.logs.long[s.key()] = func() string { return written(s.started.Time, slices.Concat(ofVLLM[:3], chatter, ofVLLM[3:])) }
		a.logs.mu.Unlock()
		return s.status(t.Context(), true, corev1.PodReadyToStartContainers)
	})
	pause(time.Until(pods[starts-1].started.Add(75 * time.Second))) // two looks at each
	looked := memory(t, l.cmd.Process.Pid, "VmHWM")
	before, began := cpuSeconds(t, l.cmd.Process.Pid), time.Now()
	each(func(i int) error { return pods[i].status(t.Context(), true, corev1.ContainersReady, corev1.PodReady) })
	var lags []time.Duration
	requests, inside := 0, 0
	for i, s := range pods {
		if !r.wait(within(t, 5*time.Minute), func() bool { return r.named(s.trace(), startup.SpanPodStartup) != nil }) {
			t.Fatalf("start %d did not come", i)
		}
		lags = append(lags, time.Since(began))
		r.wait(t.Context(), func() bool {
			if r.named(s.trace(), startup.SpanVLLMInit) != nil {
				inside++
			}
			return true
		})
		n := a.logs.requests(s)
		if requests += n; n > 6 {
			t.Errorf("%d requests for one start", n)
		}
	}
	t.Logf("%d starts of 300 kB: peak RSS %d MB while they went on, %d MB when they were ready; %.1f requests a start; all told %s after the first was ready, %d inside; %.1f s of CPU",
		starts, looked, memory(t, l.cmd.Process.Pid, "VmHWM"), float64(requests)/float64(starts), lags[len(lags)-1].Round(100*time.Millisecond), inside,
		cpuSeconds(t, l.cmd.Process.Pid)-before)
	if inside < starts*99/100 {
		t.Errorf("%d of %d were told inside", inside, starts)
	}
}
