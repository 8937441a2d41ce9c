// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// overhear tells what the log of a script's start tells: its lines, and what the kubelet writes to the pod's status. Nobody
// sees a process.
func overhear(t *testing.T, script string) *Story {
	t.Helper()
	run := Run{
		Begin:     Begin{At: dawn, Role: startup.RoleServer, Attempt: 1},
		StartedBy: startup.TimeEventName, EndedBy: startup.TimeStatus,
	}
	type said struct {
		at   time.Time
		text string
	}
	var lines []said
	last := dawn
	facts(t, script, &run.Begin, func(at time.Time, what, rest string) {
		last = at
		switch what {
		case "became":
			_, _, argv := cut3(rest)
			run.Command += " " + argv
			if r := recipe.Match(strings.Fields(argv)); r != nil {
				run.Engine = r
			}
		case "line":
			lines = append(lines, said{at, rest})
		case "healthy":
			run.Ready = at
		case "exit":
			run.Ended, run.Exit = at, recipe.Exit{Code: number(t, rest)}
		case "killed":
			run.Ended, run.Exit = at, recipe.Exit{Code: 128 + number(t, rest)}
		}
	})
	l := NewLog(run)
	for _, s := range lines {
		l.Line(s.at, []byte(s.text))
	}
	l.Finish(last)
	ended, open := l.Spans(last)
	l.story.phases = slices.Concat(ended, open)
	return l.story
}

func cut3(s string) (first, second, rest string) {
	first, rest, _ = strings.Cut(s, " ")
	second, rest, _ = strings.Cut(rest, " ")
	return first, second, rest
}

// agree compares what an observer and a log tell of one start: the same spans, no edge further away than a tenth of a second.
func agree(t *testing.T, told, heard *Story) {
	t.Helper()
	byKey := map[string]startup.Span{}
	for _, sp := range told.phases {
		byKey[sp.Key] = sp
	}
	for _, sp := range heard.phases {
		other, ok := byKey[sp.Key]
		if !ok && sp.Name == startup.SpanPythonImport && told.engine.proc == nil {
			continue // nobody saw when its process began
		}
		if !ok {
			t.Errorf("only the log tells %s", sp.Key)
			continue
		}
		off := max(sp.Start.Sub(other.Start).Abs(), sp.End.Sub(other.End).Abs())
		if off > 100*time.Millisecond && (told.engine == nil || told.engine.proc != nil) {
			t.Errorf("%s is off by %v", sp.Key, off)
		}
		if sp.Name != other.Name || sp.ParentKey != other.ParentKey {
			t.Errorf("%s: %+v, observed %+v", sp.Key, sp, other)
		}
		delete(byKey, sp.Key)
	}
	for key := range byKey {
		t.Errorf("the log does not tell %s", key)
	}
}

// spoken is a log of seconds and lines, told to a run.
func spoken(run Run, log string) *Log {
	l := NewLog(run)
	for text := range strings.Lines(log) {
		first, rest, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		var seconds float64
		_, _ = fmt.Sscan(first, &seconds)
		if !l.Line(dawn.Add(time.Duration(seconds*float64(time.Second))), []byte(rest)) {
			break
		}
	}
	return l
}

// tqdm ends its line when it is done, so all of a bar has the stamp of its end; the whole seconds that vLLM states are up to
// one short.
func TestABarThatIsStampedAtItsEndBeganAfterTheLineBeforeIt(t *testing.T) {
	bar := "(Worker pid=9) \rCapturing CUDA graphs:   0%|          | 0/35\rCapturing CUDA graphs:  50%|#####     | 17/35\rCapturing CUDA graphs: 100%|##########| 35/35"
	l := spoken(Run{Begin: Begin{At: dawn, Attempt: 1, Role: startup.RoleServer, Engine: recipe.ByName("vllm")}}, `5 (EngineCore pid=9) INFO 03-01 06:00:05 [core.py:1] Initializing a V1 LLM engine (v0.19.0) with config: model='m'
20.1 (EngineCore pid=9) INFO 03-01 06:00:20 [kv_cache_utils.py:1] GPU KV cache size: 1,000 tokens
22.9 `+bar+`
23 (EngineCore pid=9) INFO 03-01 06:00:23 [gpu_model_runner.py:1] Graph capturing finished in 2 secs, took 0.60 GiB
24 (APIServer pid=1) INFO:     Application startup complete.
`)
	l.Finish(dawn.Add(time.Minute))
	ended, _ := l.Spans(dawn.Add(time.Minute))
	for _, sp := range ended {
		if sp.Name == startup.SpanCUDAGraphCapture {
			if from := sp.Start.Sub(dawn); from != 20100*time.Millisecond || sp.Duration() != 2900*time.Millisecond {
				t.Errorf("from %v for %v", from, sp.Duration())
			}
			return
		}
	}
	t.Errorf("no capture: %+v", ended)
}

// launched is what a vLLM says until it serves: seconds, and lines.
const launched = `3 (APIServer pid=1) INFO 03-01 06:00:03 [api_server.py:1] vLLM API server version 0.19.0
5 (EngineCore pid=9) INFO 03-01 06:00:05 [core.py:1] Initializing a V1 LLM engine (v0.19.0) with config: model='m'
20 (EngineCore pid=9) INFO 03-01 06:00:20 [core.py:1] init engine (profile, create kv cache, warmup model) took 12.10 seconds
`

func TestHowARunEndedMayBecomeKnownAfterItsLogWasBegun(t *testing.T) {
	begin := Begin{At: dawn, Attempt: 1, Role: startup.RoleServer, Engine: recipe.ByName("vllm")}
	up := launched + "24 (APIServer pid=1) INFO:     Application startup complete.\n"
	after := func(seconds float64) time.Time { return dawn.Add(time.Duration(seconds * float64(time.Second))) }
	for name, tc := range map[string]struct {
		log    string
		run    Run // but its begin
		reason startup.Reason
		end    float64 // of the start; 0: nothing says how it went
		up     float64
	}{
		"ready, as it says itself":                {log: up, run: Run{Probed: true, Ready: after(27)}, end: 24, up: 24},
		"ready, and it does not say so":           {log: launched, run: Run{Probed: true, Ready: after(27)}, end: 27, up: 27},
		"deleted":                                 {log: launched, run: Run{Ended: after(27), Reason: "deleted"}, reason: "deleted", end: 27},
		"a batch that is deleted did not end":     {log: "", run: Run{Begin: Begin{Role: startup.RoleBatch}, Ended: after(27), Reason: "deleted"}, reason: "deleted", end: 27},
		"given up":                                {log: launched, run: Run{Ended: after(27), Reason: startup.ReasonTimedOut}, reason: startup.ReasonTimedOut, end: 27},
		"failed":                                  {log: launched, run: Run{Ended: after(27), Exit: recipe.Exit{Code: 3}}, reason: "exit_code=3", end: 27},
		"out of memory":                           {log: launched, run: Run{Ended: after(27), Exit: recipe.Exit{Code: 137}, Reason: "OOMKilled"}, reason: "OOMKilled", end: 27},
		"out of memory before it says anything":   {log: "", run: Run{Ended: after(27), Exit: recipe.Exit{Code: 137}, Reason: "OOMKilled"}, reason: "OOMKilled", end: 27},
		"it serves, and nobody asks it":           {log: up, up: 24},
		"it goes on":                              {log: launched},
		"deleted, but it had served a while then": {log: up, run: Run{Ended: after(50), Reason: "deleted"}, end: 24, up: 24},
	} {
		t.Run(name, func(t *testing.T) {
			run := Run{Begin: begin}
			if tc.run.Role != "" {
				run.Role = tc.run.Role
			}
			run.Probed = tc.run.Probed
			l := spoken(run, tc.log)
			tc.run.Begin = run.Begin
			l.Over(tc.run)
			now := dawn.Add(2 * time.Minute)
			if tc.run.Over() {
				l.Finish(now)
			}
			want := time.Time{}
			if tc.up > 0 {
				want = after(tc.up)
			}
			if !l.Up().Equal(want) {
				t.Errorf("up since %v, want %v", l.Up(), want)
			}
			ended, _ := l.Spans(now)
			i := slices.IndexFunc(ended, func(sp startup.Span) bool { return sp.Name == startup.SpanStartup })
			if i < 0 != (tc.end == 0) {
				t.Fatalf("told %+v", ended)
			}
			if i >= 0 && (!ended[i].End.Equal(after(tc.end)) || ended[i].Failure != tc.reason) {
				t.Errorf("ended %v %q, want %v %q", ended[i].End.Sub(dawn), ended[i].Failure, tc.end, tc.reason)
			}
		})
	}
}

// Who asks for a log may get that of another run: the container was started again, and nobody has said so yet.
func TestLinesOfOtherRunsAreNotTheRuns(t *testing.T) {
	after := func(seconds float64) time.Time { return dawn.Add(time.Duration(seconds * float64(time.Second))) }
	begin := Begin{At: dawn, Attempt: 2, Role: startup.RoleServer, Engine: recipe.ByName("vllm")}
	failed := Run{Begin: begin, Ended: after(30), Exit: recipe.Exit{Code: 1}}
	for name, tc := range map[string]struct {
		run            Run
		log            string
		foreign, later bool
		fits           bool // a run that ended after 30 s
	}{
		"its own lines":                        {run: failed, log: launched, fits: true},
		"no line":                              {run: failed, fits: true},
		"lines from before it":                 {run: failed, log: "-60 old\n-50 old\n", foreign: true, fits: true},
		"lines from after it":                  {run: failed, log: "40 new\n41 new\n", foreign: true, later: true, fits: true},
		"its own lines, and some of the next":  {run: failed, log: launched + "40 new\n", fits: true},
		"its last words, a moment after":       {run: failed, log: launched + "31.5 bye\n", fits: true},
		"it went on when its log was read":     {run: Run{Begin: begin}, log: launched, fits: true},
		"it had ended when its log was read":   {run: Run{Begin: begin}, log: launched + "40 new\n"},
		"another one began when it is thought": {run: Run{Begin: Begin{At: after(-1), Attempt: 2}}, log: launched},
	} {
		t.Run(name, func(t *testing.T) {
			l := spoken(tc.run, tc.log)
			if foreign, later := l.Foreign(); foreign != tc.foreign || later != tc.later {
				t.Errorf("foreign: %v, later: %v", foreign, later)
			}
			if fits := l.Fits(failed); fits != tc.fits {
				t.Errorf("fits: %v", fits)
			}
		})
	}
}
