// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/apiserver"
	"github.com/coldtrace/coldtrace/watch"
)

// The drill's leaders are processes of their own, because SIGKILL is part of it: this test binary, with these set.
const (
	envLeaderKubeconfig = "COLDTRACE_DRILL_KUBECONFIG"
	envLeaderEndpoint   = "COLDTRACE_DRILL_ENDPOINT"
	envLeaderLogs       = "COLDTRACE_DRILL_LOGS" // set: they may read all logs
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envLeaderKubeconfig); path != "" {
		run := lead
		if os.Getenv(envProcess) == withInformers {
			run = inform
		}
		if err := run(path, os.Getenv(envLeaderEndpoint)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(apiserver.Main(m))
}

// lead is what `coldtrace serve` does for the watcher, with a lease short enough for a drill.
func lead(kubeconfig, endpoint string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(logr.Discard())
	debug.SetGCPercent(50) // as `coldtrace serve` does
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	dies, err := newDeath(os.Getenv(envLeaderDies))
	if err != nil {
		return err
	}
	cfg.Wrap(dies.transport)
	lease, renew, retry := 8*time.Second, 6*time.Second, 500*time.Millisecond // long enough for a machine that is busy
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: os.Getenv("COLDTRACE_DRILL_ALONE") == "", LeaderElectionID: "drill", LeaderElectionNamespace: ownNamespace, LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &retry,
	})
	if err != nil {
		return err
	}
	exporter, err := otlp.NewExporter(ctx, otlp.ExporterConfig{
		Endpoint: "http://" + endpoint, Protocol: startup.ProtocolGRPC, Version: "test", Service: startup.ServiceWatcher,
	})
	if err != nil {
		return err
	}
	policy := config.Default()
	var logs []string
	if os.Getenv(envLeaderLogs) != "" {
		logs = []string{"*"}
	}
	w, err := watch.New(watch.Config{
		LogNamespaces: logs,
		REST:          cfg, Namespace: ownNamespace, Exporter: mortal{exporter, dies}, Version: "test", Log: logr.Discard(),
		Policy: func() *config.Policy { return policy },
	})
	if err != nil {
		return err
	}
	if err := mgr.Add(w); err != nil {
		return err
	}
	go func() {
		<-mgr.Elected()
		fmt.Println("elected")
	}()
	return mgr.Start(ctx)
}

// leader is a process that leads or stands by.
type leader struct {
	cmd     *exec.Cmd
	elected chan struct{} // closed when it leads
}

func newLeader(t testing.TB, kubeconfig, endpoint string) *leader {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), self)
	cmd.Env = append(os.Environ(), envLeaderKubeconfig+"="+kubeconfig, envLeaderEndpoint+"="+endpoint)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // whatever happened, none outlives the test
	l := &leader{cmd, make(chan struct{})}
	go func() {
		if _, err := out.Read(make([]byte, 1)); err == nil {
			close(l.elected)
		}
	}()
	return l
}

func (l *leader) end(s syscall.Signal) {
	_ = l.cmd.Process.Signal(s)
	_ = l.cmd.Wait()
}

// drillSize reads a number of the drill from the environment: the full drill is 2000 starts, 20 kills, 20 restarts.
func drillSize(name string, small int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return small
}

func TestEveryStartIsDeliveredHoweverLeadersEnd(t *testing.T) {
	var (
		starts   = drillSize("COLDTRACE_DRILL_STARTS", 60)
		kills    = drillSize("COLDTRACE_DRILL_KILLS", 2)
		restarts = drillSize("COLDTRACE_DRILL_RESTARTS", 2)
	)
	a := startAPI(t)
	r := newReceiver(t)
	t.Setenv(envLeaderLogs, "all")
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, a.kubeconfig(t), 0o600); err != nil {
		t.Fatal(err)
	}
	mb, requests, most := 0, 0, 0
	phase := func(t *testing.T, label string, starts, ends int, signal syscall.Signal) {
		t.Helper()
		current, standby := newLeader(t, path, r.address), newLeader(t, path, r.address)
		pods := make([]*scripted, starts)
		var all sync.WaitGroup
		slots := make(chan struct{}, 8)
		all.Go(func() {
			var group sync.WaitGroup
			defer group.Wait()
			for i := range pods {
				slots <- struct{}{}
				group.Go(func() {
					defer func() { <-slots }()
					ctx := context.WithoutCancel(t.Context())
					s, err := a.createPod(ctx, drillPod(label, i, starts))
					if err == nil {
						pods[i] = s
						err = s.play(ctx, func() { pause(time.Duration(rand.IntN(80)) * time.Millisecond) })
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
		})
		for range ends {
			select { // either may have been the first to take the lease
			case <-current.elected:
			case <-standby.elected:
				current, standby = standby, current
			case <-time.After(time.Minute):
				t.Error("nobody leads")
			}
			pause(time.Duration(300+rand.IntN(2500)) * time.Millisecond)
			mb = max(mb, memory(t, current.cmd.Process.Pid, "VmHWM"))
			current.end(signal)
			most = max(most, a.logs.most()) // whoever is next reads again what this one had not saved
			current, standby = standby, newLeader(t, path, r.address)
		}
		all.Wait()
		for i, s := range pods {
			if s == nil || !r.wait(within(t, 60*time.Second), r.told(s.trace())) {
				t.Errorf("start %d was not delivered", i)
				continue
			}
			requests += a.logs.requests(s)
		}
		if groups := drillGroups(starts); signal == syscall.SIGTERM && !r.wait(within(t, 30*time.Second), func() bool { return r.times(startup.MetricGroupDuration) >= groups }) {
			t.Errorf("%d groups were not measured", groups) // a group is told after the last of its pods
		}
		most = max(most, a.logs.most())
		standby.end(syscall.SIGTERM)
		current.end(syscall.SIGTERM)
	}
	// The first leader's first list must not find starts that are over: those are nobody's.
	seed, err := a.create(t.Context(), podNamespace, "seed")
	if err != nil {
		t.Fatal(err)
	}
	first := newLeader(t, path, r.address)
	if err := seed.bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.wait(within(t, 30*time.Second), func() bool { return r.named(seed.trace(), startup.SpanPodPending) != nil }) {
		t.Fatal("the first leader delivered nothing")
	}
	first.end(syscall.SIGTERM)

	phase(t, "restart", starts/2, restarts, syscall.SIGTERM)
	repeated, _ := r.repeats()
	if repeated != 0 {
		t.Errorf("%d spans came twice though every leader ended in good order", repeated)
	}
	groups, told := drillGroups(starts/2), r.count(startup.MetricGroupDuration)
	if told != groups {
		t.Errorf("%d groups were measured %d times though every leader ended in good order", groups, told)
	}
	phase(t, "kill", starts-starts/2, kills, syscall.SIGKILL)
	again, different := r.repeats()
	killed, measured := drillGroups(starts-starts/2), r.count(startup.MetricGroupDuration)-told
	t.Logf("%d starts, %d restarts: %d spans repeated, %d groups measured %d times; %d kills: %d spans repeated, %d of them different, %d groups measured %d times",
		starts, restarts, repeated, groups, told, kills, again-repeated, len(different), killed, measured)
	// Who is killed takes with it what it was about to measure; nothing is measured twice.
	if total := r.count(startup.MetricTotalDuration); measured > killed || total > starts {
		t.Errorf("%d groups were measured %d times, %d starts %d times", killed, measured, starts, total)
	}
	t.Logf("%.1f requests for logs a start, %d at most by one leader; peak RSS of a leader %d MB", float64(requests)/float64(starts), most, mb)
	room := mostMB
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		room *= 2 // the race detector remembers who touched what
	}
	if most > mostRequests || mb > room {
		t.Errorf("want at most %d requests and %d MB", mostRequests, room)
	}
	for _, d := range different {
		t.Errorf("a repeated span is not what it was: %s", d)
	}
}

// drillGroups is how many groups of three there are among so many starts.
func drillGroups(starts int) int { return starts / 4 / 3 }

// drillPod is the pod of a start: the first are of groups of three, all of which are probed.
func drillPod(label string, i, starts int) *corev1.Pod {
	if i >= 3*drillGroups(starts) {
		return endpointPod(podNamespace, fmt.Sprintf("%s-%d", label, i))
	}
	alone := endpointPod(podNamespace, "")
	pod := lwsPod(fmt.Sprintf("%s-group-%d", label, i/3), i%3, 3, "a")
	pod.Spec.Containers = alone.Spec.Containers
	return pod
}

// count is how often a metric was measured.
func (r *receiver) count(metric string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.times(metric)
}

// times is count for who holds the lock.
func (r *receiver) times(metric string) (n int) {
	for _, p := range r.values[metric] {
		n += int(p.count) //nolint:gosec // small
	}
	return n
}

// pause is the pace of the play, not a wait for something.
func pause(d time.Duration) { <-time.After(d) }
