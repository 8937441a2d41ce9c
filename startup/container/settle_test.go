// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// told is what a story told and counted, by key.
type told struct {
	*Story
	spans    map[string][]startup.Span
	measured map[string]int
}

func newTold(began time.Time) *told {
	out := &told{spans: map[string][]startup.Span{}, measured: map[string]int{}}
	out.Story = New(Begin{At: began, Role: startup.RoleServer, Attempt: 1}, func(spans []startup.Span) {
		for _, sp := range spans {
			out.spans[sp.Key] = append(out.spans[sp.Key], sp)
		}
	})
	out.Measure = func(spans []startup.Span) {
		for _, sp := range spans {
			out.measured[sp.Key]++
		}
	}
	return out
}

func TestWhatIsCompleteIsToldBeforeTheStartIs(t *testing.T) {
	log, err := os.ReadFile("../../engine/recipe/testdata/vllm-0.19.0.log")
	if err != nil {
		t.Fatal(err)
	}
	base := time.Now()
	s := newTold(base)
	d := &Process{PID: 6, Argv: []string{"s5cmd", "cp", "s3://b/*", "m"}, Start: base.Add(time.Second)}
	s.Became(d)
	d.End = base.Add(5 * time.Second)
	s.Exited(d)
	s.Settle(d.End.Add(settleDownload - time.Millisecond))
	if len(s.spans) != 0 {
		t.Fatalf("told too early: %v", s.spans)
	}
	s.Settle(d.End.Add(settleDownload + time.Millisecond))
	if len(s.spans[startup.SpanS5cmdDownload]) != 1 {
		t.Fatalf("the download was not told: %v", s.spans)
	}
	e := &Process{PID: 7, Argv: []string{"python", "-m", "vllm.entrypoints.openai.api_server"}, Start: base.Add(10 * time.Second)}
	s.Became(e)
	at := base.Add(20 * time.Second)
	lines := bytes.Split(log, []byte("\n"))
	i := 0
	read := func(until string) {
		for ; i < len(lines); i++ {
			at = at.Add(time.Second)
			s.Line(at, lines[i])
			if until != "" && bytes.Contains(lines[i], []byte(until)) {
				i++
				return
			}
		}
	}
	read("Model loading took")
	s.Settle(at.Add(settlePhase - time.Second))
	if len(s.spans[startup.SpanModelLoad]) != 0 {
		t.Error("another rank could still say that it took longer")
	}
	at = at.Add(settlePhase + time.Second)
	for range 3 {
		s.Settle(at)
	}
	for _, key := range []string{startup.SpanModelLoad, startup.SpanWeightsLoad, startup.SpanPythonImport} {
		if len(s.spans[key]) != 1 || s.measured[key] != 0 {
			t.Errorf("%s was told %d times and counted %d times", key, len(s.spans[key]), s.measured[key])
		}
	}
	if len(s.spans[startup.SpanVLLMInit]) != 0 || len(s.spans[startup.SpanKVCacheInit]) != 0 {
		t.Errorf("told before its end: %v", s.spans)
	}
	read("")
	s.Ready(at)
	for key, spans := range s.spans {
		if len(spans) != 1 || s.measured[key] != 1 {
			t.Errorf("%s was told %d times and counted %d times", key, len(spans), s.measured[key])
		}
	}
	if len(s.spans) < 8 || len(s.phases) != len(s.spans) {
		t.Errorf("%d spans, %d in the live state", len(s.spans), len(s.phases))
	}
}

func TestALaunchAfterAFailedOneIsToldBesideWhatWasToldOfThat(t *testing.T) {
	log, err := os.ReadFile("../../engine/recipe/testdata/vllm-0.19.0.log")
	if err != nil {
		t.Fatal(err)
	}
	base := time.Now()
	s := newTold(base)
	at := base
	for launch := range 2 {
		p := &Process{PID: 7 + launch, Argv: []string{"python", "-m", "vllm.entrypoints.openai.api_server"}, Start: at}
		s.Became(p)
		for line := range bytes.SplitSeq(log, []byte("\n")) {
			at = at.Add(time.Second)
			s.Line(at, line)
			if launch == 0 && bytes.Contains(line, []byte("Model loading took")) {
				at = at.Add(settlePhase + time.Second)
				s.Settle(at)
				p.End = at
				s.Exited(p)
				break
			}
		}
	}
	s.Ready(at)
	for key, counted := range map[string]int{startup.SpanModelLoad: 0, startup.SpanModelLoad + "/2": 1, startup.SpanWeightsLoad + "/2": 1} {
		if len(s.spans[key]) != 1 || s.measured[key] != counted {
			t.Errorf("%s: %+v, counted %d times", key, s.spans[key], s.measured[key])
		}
	}
	if first, second := s.spans[startup.SpanModelLoad], s.spans[startup.SpanModelLoad+"/2"]; !first[0].End.Before(second[0].Start) {
		t.Errorf("%+v", s.spans)
	}
	if parent := s.spans[startup.SpanWeightsLoad+"/2"][0].ParentKey; parent != startup.SpanModelLoad+"/2" {
		t.Errorf("what the second launch loaded lies in %s", parent)
	}
}

func TestAStartThatIsToldToEndIsToldAtOnceAndCountedWhenItHasEnded(t *testing.T) {
	base := time.Now()
	keys := []string{startup.SpanS5cmdDownload, startup.Key(startup.SpanStartup, "", 1)}
	at := func(seconds int) time.Time { return base.Add(time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		then    func(*told)
		failure startup.Reason
	}{
		"it exits":                {func(s *told) { s.End(at(21), &recipe.Exit{Code: 0}, "") }, "terminated"},
		"it exits with a failure": {func(s *told) { s.End(at(21), &recipe.Exit{Code: 1}, "") }, "terminated"},
		"it dies of the signal":   {func(s *told) { s.End(at(21), &recipe.Exit{Signal: 15}, "") }, "terminated"},
		"all are killed":          {func(s *told) { s.End(at(50), nil, "killed") }, "terminated"},
		"it goes on forever":      {func(s *told) { s.End(at(900), nil, startup.ReasonTimedOut) }, "timed_out"},
		"it becomes ready":        {func(s *told) { s.Ready(at(40)) }, ""},
		"it is told again, and becomes ready": {func(s *told) {
			s.Interrupted(at(25), 15)
			s.Ready(at(40))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTold(base)
			s.Became(&Process{PID: 6, Argv: []string{"s5cmd", "cp", "s3://b/*", "m"}, Start: at(1)})
			s.Interrupted(at(20), 15)
			for _, key := range keys {
				if early := s.spans[key]; len(early) != 1 || early[0].Failure != "terminated" || !early[0].End.Equal(at(20)) {
					t.Errorf("%s at the signal: %+v", key, early)
				}
			}
			if len(s.measured) != 0 || s.done || s.state != "starting" {
				t.Errorf("it is counted, or over, before it has ended: %v", s.measured)
			}
			if c.failure == "" { // what was under way goes on, and ends well
				d := s.loads[6].proc
				d.End = at(30)
				s.Exited(d)
			}
			c.then(s)
			for _, key := range keys {
				told := s.spans[key]
				if last := told[len(told)-1]; last.Failure != c.failure || s.measured[key] != 1 {
					t.Errorf("%s in the end: %+v, counted %d times", key, last, s.measured[key])
				}
			}
		})
	}
}

// slowStart tells a start whose engine is silent for long after lines with a text, after some processes have come and gone.
func slowStart(t *testing.T, log, engine, slow string, before ...*Process) *told {
	t.Helper()
	text, err := os.ReadFile("../../engine/recipe/testdata/" + log)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	s := newTold(at)
	for _, p := range before {
		p.Start, p.End = at, at.Add(time.Minute)
		s.Became(p)
		s.Exited(p)
		at = p.End
	}
	s.runs(recipe.ByName(engine), nil, at, nil)
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		at = at.Add(100 * time.Millisecond)
		s.Line(at, line)
		if bytes.Contains(line, []byte(slow)) {
			at = at.Add(settlePhase + time.Second)
		}
		s.Settle(at)
	}
	s.Ready(at)
	return s
}

// Whatever the ranks' lines come after one another, and whenever it is asked what has settled: a span is told once, is counted as it was
// told, and lies in a parent that is told.
func TestASpanHasOneContentWhateverRanksSayWhen(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 16))
		s := newTold(dawn)
		counted := map[string]startup.Span{}
		s.Measure = func(spans []startup.Span) {
			for _, sp := range spans {
				counted[sp.Key] = sp
			}
		}
		early := false
		s.Became(&Process{PID: 7, Argv: strings.Fields(vllmServe), Start: dawn})
		now := dawn
		for _, l := range ranksSay(random) {
			for random.IntN(3) > 0 && now.Before(l.at) {
				now = now.Add(time.Duration(random.Int64N(int64(l.at.Sub(now)) + 1)))
				s.Settle(now)
			}
			early = early || len(s.spans) > 0
			now = l.at
			s.Line(now, l.text)
		}
		s.Ready(now.Add(time.Second))
		if !early && seed%10 == 0 {
			t.Errorf("seed %d: nothing was told before the end", seed)
		}
		for key, spans := range s.spans {
			sp := spans[0]
			if len(spans) != 1 {
				t.Errorf("seed %d: %s is told as\n%+v", seed, key, spans)
			}
			if c, ok := counted[key]; !ok || !c.Start.Equal(sp.Start) || !c.End.Equal(sp.End) {
				t.Errorf("seed %d: %s is told as\n%+v\nand counted as\n%+v", seed, key, sp, c)
			}
			if key == startup.KeyInContainer {
				continue
			}
			up := s.spans[sp.ParentKey]
			if len(up) == 0 || sp.Start.Before(up[0].Start) || sp.End.After(up[0].End) {
				t.Errorf("seed %d: %s\n%+v\nlies in\n%+v", seed, key, sp, up)
			}
		}
	}
}

// ranksSay is what two to eight ranks of a vLLM say, each in its own time.
func ranksSay(random *rand.Rand) (said []heard) {
	after := func(t time.Time, seconds float64) time.Time {
		return t.Add(time.Duration(seconds * float64(time.Second)))
	}
	say := func(at time.Time, rank, text string, args ...any) {
		said = append(said, heard{at, fmt.Appendf(nil, "(%s) INFO %s [x.py:1] %s", rank, at.Format("01-02 15:04:05"), fmt.Sprintf(text, args...))})
	}
	say(after(dawn, 4), "APIServer pid=7", "vLLM API server version 0.23.0")
	say(after(dawn, 5), "EngineCore pid=8", "Initializing a V1 LLM engine (v0.23.0) with config: model='m'")
	last, ranks := dawn, 2+random.IntN(7)
	for rank := range ranks {
		name, at := fmt.Sprintf("Worker_TP%d pid=%d", rank, 10+rank), after(dawn, 6)
		phase := func(text string) {
			took := random.Float64() * []float64{1, 5, 40, 90}[random.IntN(4)]
			at = after(at, took+random.Float64())
			if random.IntN(8) > 0 { // some rank says nothing of it
				say(at, name, text, took)
			}
		}
		say(after(at, random.Float64()*20), name, "Starting to load model m...")
		at = after(at, 20)
		for _, text := range []string{
			"Loading weights took %.2f seconds", "Model loading took 15.27 GiB memory and %f seconds", "Dynamo bytecode transform time: %.2f s",
			"torch.compile took %.2f s in total", "Initial profiling/warmup run took %.2f s", "Graph capturing finished in %.0f secs, took 0.61 GiB",
		} {
			phase(text)
		}
		if at.After(last) {
			last = at
		}
	}
	say(after(last, 1), "EngineCore pid=8", "init engine (profile, create kv cache, warmup model) took %.2f s", last.Sub(dawn).Seconds()/2)
	slices.SortStableFunc(said, func(a, b heard) int { return a.at.Compare(b.at) })
	return said
}

// What is told early, where long passes between an engine's lines, stays as it is: backends keep both.
func TestNothingIsToldTwiceInASlowStart(t *testing.T) {
	for log, c := range map[string]struct{ engine, slow string }{
		"vllm-0.12.0-download.log": {"vllm", "Time spent downloading"},
		"vllm-0.19.0.log":          {"vllm", ""}, "lmdeploy-pytorch.log": {"lmdeploy", ""}, "tgi-two-shards.log": {"tgi", ""},
	} {
		for key, spans := range slowStart(t, log, c.engine, c.slow).spans {
			if len(spans) != 1 {
				t.Errorf("%s: %s is told as\n%+v", log, key, spans)
			}
		}
	}
}

// A download by a tool and one by the engine, of the same name, are two.
func TestTheEngineDownloadsWhatAToolHasLeft(t *testing.T) {
	s := slowStart(t, "vllm-0.12.0-download.log", "vllm", "Time spent downloading", &Process{PID: 6, Argv: []string{"hf", "download", "org/model"}})
	for key, parent := range map[string]string{"hf_download": startup.KeyInContainer, "hf_download/2": startup.SpanModelLoad} {
		if spans := s.spans[key]; len(spans) != 1 || spans[0].ParentKey != parent || s.measured[key] != 1 {
			t.Errorf("%s: %+v, counted %d times", key, spans, s.measured[key])
		}
	}
}
