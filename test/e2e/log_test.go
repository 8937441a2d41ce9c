// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
	"github.com/coldtrace/coldtrace/trace"
)

// overheard is the start of a pod as its status, its events and its log tell it.
func overheard(t *testing.T, pod *corev1.Pod) cluster.Start {
	t.Helper()
	r := cluster.Reader{Client: on.Kube, MaxLogBytes: cluster.DefaultMaxLogBytes, Now: time.Now}
	start := r.Starts(t.Context(), []corev1.Pod{*pod})[0]
	for _, m := range start.Missing {
		t.Logf("%s: %s", pod.Name, m)
	}
	return start
}

// compareWithLog holds what was sent of a start against what its log tells: the same ids, and no edge that both know further
// away than that (0: however far, on a machine that is too busy to tell). It returns how far each was.
func compareWithLog(t *testing.T, pod *corev1.Pod, sent *trace.Trace, within time.Duration) (offs []time.Duration) {
	t.Helper()
	start := overheard(t, pod)
	nodes := map[string]*trace.Node{}
	stretches, shortest := map[string]int{}, map[string]time.Duration{} // by name: more of the log's than of what was sent
	sent.Walk(func(n *trace.Node) { nodes[n.ID], stretches[n.Name] = n, stretches[n.Name]-1 })
	for _, sp := range start.Inside {
		if stretches[sp.Name]++; shortest[sp.Name] == 0 || sp.Duration() < shortest[sp.Name] {
			shortest[sp.Name] = sp.Duration()
		}
	}
	told := map[string]bool{}
	// On a busy machine the wrapper is up a while after the kubelet says that the container started.
	var began time.Time
	for _, sp := range start.Inside {
		if sp.Name == startup.SpanStartup {
			began = sp.Start
		}
	}
	for _, sp := range start.Inside {
		told[sp.Name] = true
		if stretches[sp.Name] > 0 && shortest[sp.Name] > 0 && shortest[sp.Name] <= tolerance {
			t.Logf("%-20s has a stretch of %.1f ms in the log alone, of which the wrapper read both lines at a time", sp.Key, ms(shortest[sp.Name]))
			continue // its numbers are not those of the others
		}
		n := nodes[start.Subject.SpanContext(sp.Key).SpanID().String()]
		if n == nil {
			if sp.Duration() > tolerance { // else the wrapper read both of its lines at a time
				t.Errorf("only the log tells %s", sp.Key)
			}
			continue
		}
		if parent := start.Subject.SpanContext(sp.ParentKey).SpanID().String(); n.Name != sp.Name || n.ParentID != parent || sp.Open {
			t.Errorf("%s: %+v, sent was %+v", sp.Key, sp, n.Span)
		}
		from, to := sp.Start.Sub(n.Start), sp.End.Sub(n.End)
		t.Logf("%-20s start %+6.1f ms, end %+6.1f ms", sp.Key, ms(from), ms(to))
		// A log does not tell when an engine's process starts: what it has is the end of what came before.
		process := sp.Name == startup.SpanPythonImport || sp.Name == startup.SpanVLLMInit
		if (process || sp.Start.Equal(began)) && from < 0 && from > -time.Second {
			from = 0
		}
		for _, off := range []time.Duration{from, to} {
			offs = append(offs, off.Abs())
			if within > 0 && off.Abs() > within {
				t.Errorf("%s is %v off what the wrapper sent", sp.Key, off)
			}
		}
		for _, a := range n.Attributes {
			if strings.HasPrefix(a.Key, "time.") || a.Key == startup.AttrDurationSeconds || a.Key == startup.AttrTotalStartupSeconds ||
				a.Key == startup.AttrBytes || a.Key == startup.AttrThroughputMBps || a.Key == startup.AttrClockSkewSeconds {
				continue // where times come from, and what no log says
			}
			if sp.Get(a.Key).String() == "" && !common(start.Subject, a.Key) {
				t.Errorf("%s from the log lacks %s", sp.Key, a.Key)
			}
		}
	}
	for _, n := range nodes {
		short := tolerance
		if n.Name == startup.SpanPythonImport { // it begins with the container, of which a busy runtime says late that it has started
			short *= 3
		}
		if n.Get("service.name") == startup.ServiceWrapper && !told[n.Name] && n.Duration() > short {
			t.Errorf("the log does not tell %s", n.Name)
		}
	}
	slices.Sort(offs)
	if len(offs) > 0 {
		t.Logf("%s: %d edges, p95 %.1f ms, at most %.1f ms off", pod.Name, len(offs), ms(offs[len(offs)*95/100]), ms(offs[len(offs)-1]))
	}
	return offs
}

// common tells an attribute that every span has, or that follows from its other fields.
func common(s startup.Subject, key string) bool {
	return key == startup.AttrSamplingPriority || slices.ContainsFunc(s.Attributes(), func(a attribute.KeyValue) bool { return string(a.Key) == key })
}

// argv makes the container run a program itself, without a shell and a download.
func argv(words ...string) func(*corev1.Pod, *corev1.Container) {
	return func(_ *corev1.Pod, main *corev1.Container) { main.Command = words }
}

// argsOnly leaves the program to the image.
func argsOnly(_ *corev1.Pod, main *corev1.Container) {
	main.Command, main.Args = nil, []string{"model_files", "--port", "5005", "--host", "::"}
}

// A pod that was never injected, and one whose image says what runs: nobody but the log tells what happens in it.
func TestAPodThatWasNeverInjectedIsToldByItsLog(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod, *corev1.Container)
		lacks  string
	}{
		"overheard":           {func(*corev1.Pod, *corev1.Container) {}, ""},
		"overheard-args-only": {argsOnly, startup.SpanS5cmdDownload},
	} {
		t.Run(name, func(t *testing.T) {
			pod := await(t, begin(t, unlabelled, name, c.change), stage.Ready)
			start := overheard(t, pod)
			keys := map[string]bool{}
			for _, sp := range append(start.Outside, start.Inside...) {
				keys[sp.Key] = !sp.Open
			}
			for key := range expected {
				if !keys[key] && key != c.lacks {
					t.Errorf("it does not tell %s: %v", key, keys)
				}
			}
		})
	}
}

// programs are what a container may run, of each engine in the words that its log has.
var programs = map[string]func(*corev1.Pod, *corev1.Container){
	"shell-vllm":  func(*corev1.Pod, *corev1.Container) {},
	"argv-vllm":   argv("python", "-m", "vllm_server", "--model", "model_files", "--port", "5005", "--host", "::"),
	"argv-sglang": argv("python", "-m", "sglang.launch_server", "--model-path", "model_files", "--port", "5005", "--host", "::"),
	"argv-tgi":    argv("text-generation-launcher", "--model-id", "model_files", "--port", "5005", "--hostname", "::"),
}

// logTolerance is how far off 95 of 100 edges are at most that a wrapper and a log both know, where nothing else goes on. One in
// twelve is the container's own start, which moves with whatever the runtime has to do beside: twice as far is a fault.
const logTolerance = 30 * time.Millisecond

func TestTwentyStartsAreToldTheSameByTheirLogs(t *testing.T) {
	var (
		all    []time.Duration
		judged = true
		rounds []map[string]string // program to speed
	)
	for _, speed := range append(slices.Clone(speeds), "2", "8") {
		of := map[string]string{}
		for program := range programs {
			of[program] = speed
		}
		rounds = append(rounds, of)
	}
	for i, of := range rounds {
		offs, late, busy := sameStarts(t, i, "", of)
		if slices.Max(offs) > tolerance+late { // a line that was held up once is not held up again, what is told wrongly is wrong again
			offs, late, busy = sameStarts(t, i, "-again", of)
		}
		all = append(all, offs...)
		if busy > mostBusy || late > logTolerance {
			t.Logf("round %d says nothing of milliseconds: %.0f %% of the time somebody waited for a CPU, timers fired up to %v late", i, 100*busy, late)
			judged = false
		} else if most := slices.Max(offs); most > tolerance+late {
			t.Errorf("round %d: an edge is %v off", i, most)
		}
	}
	slices.Sort(all)
	p95 := all[len(all)*95/100]
	t.Logf("%d starts, %d edges: p50 %.1f ms, p95 %.1f ms, at most %.1f ms off", len(rounds)*len(programs), len(all), ms(all[len(all)/2]), ms(p95), ms(all[len(all)-1]))
	if judged && p95 > 2*logTolerance {
		t.Errorf("p95 is %v", p95)
	}
}

// sameStarts starts programs at a time, each at its speed, and returns how far off the edges of their logs are, how late the
// simulations' timers were, and for what part of the time somebody waited for a CPU.
func sameStarts(t *testing.T, round int, suffix string, speedOf map[string]string) (offs []time.Duration, late time.Duration, busy float64) {
	before := readPressure(t)
	var pods []*corev1.Pod
	for program, speed := range speedOf {
		change := []func(*corev1.Pod, *corev1.Container){withEnv("SIM_SPEED", speed), programs[program]}
		if strings.HasSuffix(program, "vllm") {
			change = append(change, withEnv("SIM_VERSION", played[round%len(played)]))
		}
		pods = append(pods, begin(t, labelled, fmt.Sprintf("same-%s-%d%s", program, round, suffix), change...))
	}
	for _, pod := range pods {
		pod = await(t, pod, stage.Ready)
		_, timers := simulated(t, pod)
		late = max(late, timers)
		sent := awaitTrace(t, string(pod.UID), startup.SpanStartup, startup.SpanServerReady)
		offs = append(offs, compareWithLog(t, pod, sent, 0)...)
		remove(t, pod)
	}
	return offs, late, readPressure(t).since(before)
}
