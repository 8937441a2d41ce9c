// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
)

func aRun(attempt int, started time.Duration, change ...func(*container.Run)) container.Run {
	r := container.Run{Begin: container.Begin{At: created.Add(started), Attempt: attempt, Role: startup.RoleServer}, Probed: true}
	for _, f := range change {
		f(&r)
	}
	return r
}

func ready(after time.Duration) func(*container.Run) {
	return func(r *container.Run) { r.Ready = created.Add(after) }
}

func ended(after time.Duration) func(*container.Run) {
	return func(r *container.Run) { r.Ended, r.Reason = created.Add(after), "deleted" }
}

// endHeard is a run of which an engine's first line was read when it had ended.
func endHeard(at time.Duration) func(*inside) {
	return func(in *inside) {
		r := in.of(1)
		r.Begin(aRun(1, 0))
		r.Log.Line(created.Add(time.Second), []byte("INFO 05-01 06:00:01 [api_server.py:1839] vLLM API server version 0.11.0"))
		r.noticed, r.heard = created.Add(at), created.Add(at)
	}
}

func TestWhenALogIsRead(t *testing.T) {
	const s, m = time.Second, time.Minute
	for name, tc := range map[string]struct {
		runs    []container.Run
		before  func(*inside)
		age     time.Duration
		awaited bool   // nothing else tells when it serves
		job     string // attempt, last or look, previous
		again   time.Duration
		pending bool
		unseen  string
		told    []string
	}{
		"not at once":                                                {runs: []container.Run{aRun(1, 0)}, age: s, again: 29 * s},
		"after half a minute, in between":                            {runs: []container.Run{aRun(1, 0)}, age: 30 * s, job: "1 look"},
		"once for what was missed":                                   {runs: []container.Run{aRun(1, 0)}, age: 4 * m, job: "1 look"},
		"not again before the next time":                             {runs: []container.Run{aRun(1, 0)}, age: 70 * s, before: func(in *inside) { in.of(1).looked, in.asked = 2, 2 }, again: 50 * s},
		"no more than so often":                                      {runs: []container.Run{aRun(1, 0)}, age: time.Hour, before: func(in *inside) { in.of(1).looked, in.asked = maxLooks, maxLooks }},
		"as long as nothing else tells that it serves":               {runs: []container.Run{aRun(1, 0)}, age: 20 * m, awaited: true, before: func(in *inside) { in.of(1).looked, in.asked = maxLooks, maxLooks }, again: 10 * m},
		"every quarter of an hour":                                   {runs: []container.Run{aRun(1, 0)}, age: 45 * m, awaited: true, before: func(in *inside) { in.of(1).looked, in.asked = maxLooks+1, maxLooks+1 }, job: "1 look"},
		"and not twice in one":                                       {runs: []container.Run{aRun(1, 0)}, age: 45 * m, awaited: true, before: func(in *inside) { in.of(1).looked, in.asked = maxLooks+2, maxLooks+2 }, again: 15 * m},
		"of the one attempt after many that goes on":                 {runs: []container.Run{aRun(7, 0)}, age: 10 * m, awaited: true, before: func(in *inside) { in.asked = maxLooks }, again: 5 * m},
		"by a leader that was not there for most of it":              {runs: []container.Run{aRun(1, 0)}, age: 100 * m, awaited: true, job: "1 look"},
		"not right when it is ready: it may say more":                {runs: []container.Run{aRun(1, 0, ready(20*s))}, age: 20 * s, again: 2 * s, pending: true},
		"a moment after it is ready":                                 {runs: []container.Run{aRun(1, 0, ready(20*s))}, age: 22 * s, job: "1 last", pending: true},
		"whatever was asked before, when it is ready":                {runs: []container.Run{aRun(1, 0, ready(time.Hour))}, age: 2 * time.Hour, before: func(in *inside) { in.of(1).looked, in.asked = maxLooks, maxLooks }, job: "1 last", pending: true},
		"not while another request is under way":                     {runs: []container.Run{aRun(1, 0, ready(20*s))}, age: 30 * s, before: func(in *inside) { in.job = &job{begun: true} }, again: m, pending: true},
		"not if it is told":                                          {runs: []container.Run{aRun(1, 0, ready(20*s))}, age: 30 * s, before: func(in *inside) { in.of(1).done = true }},
		"of a run that was followed, the one before":                 {runs: []container.Run{aRun(1, 0, ended(5*s)), aRun(2, 6*s)}, age: 10 * s, job: "1 last previous", again: 26 * s, pending: true},
		"at once when it ended: the next run may take its place":     {runs: []container.Run{aRun(1, 0, ended(20*s))}, age: 20 * s, job: "1 last", pending: true},
		"once more for its last words, which are on their way":       {runs: []container.Run{aRun(1, 0, ended(20*s))}, age: 20 * s, before: endHeard(20 * s), again: drained, pending: true},
		"a moment after its end is seen":                             {runs: []container.Run{aRun(1, 0, ended(20*s))}, age: 20*s + drained, before: endHeard(20 * s), job: "1 last", pending: true},
		"not twice of one of many attempts":                          {runs: []container.Run{aRun(9, 0, ended(20*s))}, age: 20 * s, before: func(in *inside) { in.asked = maxLooks }, again: drained, pending: true},
		"what was read at once holds, if the rest is gone":           {runs: []container.Run{aRun(1, 0, ended(20*s)), aRun(2, 20*s, ended(21*s))}, age: 22 * s, before: func(in *inside) { endHeard(20 * s)(in); in.of(2).done = true }, unseen: unseenGone, told: []string{"vllm_init", "python_import", "engine_config", "in_container_startup"}},
		"as soon as its end is seen, if that is late":                {runs: []container.Run{aRun(1, 0, ended(20*s))}, age: 22 * s, job: "1 last", pending: true},
		"of two that ended the log of the first is gone":             {runs: []container.Run{aRun(1, 0, ended(5*s)), aRun(2, 6*s, ended(9*s))}, age: 12 * s, job: "2 last", pending: true, unseen: unseenGone, told: []string{"in_container_startup"}},
		"at its end, instead of in between where nobody read it yet": {runs: []container.Run{aRun(1, 0, ended(30*s))}, age: 40 * s, before: func(in *inside) { in.job = &job{run: aRun(1, 0)} }, job: "1 last", pending: true},
		"what is older than that is gone":                            {runs: []container.Run{aRun(1, 0, ended(5*s)), aRun(2, 6*s, ended(9*s)), aRun(3, 10*s)}, age: 12 * s, before: func(in *inside) { in.of(2).done = true }, again: 28 * s, unseen: unseenGone, told: []string{"in_container_startup"}},
		"not each of many attempts":                                  {runs: []container.Run{aRun(6, 0, ended(5*s)), aRun(7, 6*s)}, age: 10 * s, before: func(in *inside) { in.asked = maxLooks }, unseen: unseenRequests, told: []string{"in_container_startup#6"}},
		"nobody answers":                                             {runs: []container.Run{aRun(1, 0, ready(20*s))}, age: 30 * s, before: func(in *inside) { in.of(1).failed = maxTries }, unseen: unseenUnanswered, told: []string{"in_container_startup"}},
		"again, a while after somebody did not answer":               {runs: []container.Run{aRun(1, 0, ready(20*s))}, age: 30 * s, before: func(in *inside) { in.of(1).failed, in.of(1).retry = 1, created.Add(33*s) }, again: 3 * s, pending: true},
		"no reader had the time":                                     {runs: []container.Run{aRun(1, 0, ready(20*s))}, age: 90 * s, before: func(in *inside) { in.job, in.of(1).noticed = &job{}, created.Add(20*s) }, unseen: unseenUnanswered, told: []string{"in_container_startup"}},
		"nothing more, if it was read to its end":                    {runs: []container.Run{aRun(1, 0, ready(20*s))}, age: 40 * s, before: func(in *inside) { in.of(1).heard = created.Add(30 * s) }, unseen: unseenSilent, told: []string{"in_container_startup"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := &inside{by: inject.InsideLog}
			if tc.before != nil {
				tc.before(in)
			}
			next, again, pending := in.next(created.Add(tc.age), tc.runs, tc.awaited, func(int) bool { return false })
			got := ""
			if next != nil {
				got = strconv.Itoa(next.run.Attempt)
				if next.last {
					got += " last"
				} else {
					got += " look"
				}
				if next.previous {
					got += " previous"
				}
			}
			var told []string
			for _, sp := range in.undelivered(&ledger{}) {
				told = append(told, sp.Key)
			}
			if got != tc.job || again != tc.again || pending != tc.pending || in.unseen != tc.unseen || !slices.Equal(told, tc.told) {
				t.Errorf("job %q again %s pending %v unseen %q told %v, want %q %s %v %q %v",
					got, again, pending, in.unseen, told, tc.job, tc.again, tc.pending, tc.unseen, tc.told)
			}
		})
	}
}

func TestARunThatWasDeliveredIsNotReadAgain(t *testing.T) {
	in := &inside{by: inject.InsideLog}
	next, _, pending := in.next(created.Add(time.Minute), []container.Run{aRun(1, 0, ready(20*time.Second))}, false, func(attempt int) bool { return attempt == 1 })
	if next != nil || pending {
		t.Errorf("%+v %v", next, pending)
	}
}

// A log that is read beside the wrapper has a tree of its own.
func TestWhatIsComparedHasKeysOfItsOwn(t *testing.T) {
	in := &inside{by: inject.InsideBoth}
	in.giveUp(in.of(1), aRun(1, 0, ready(20*time.Second)), unseenGone, created.Add(time.Minute))
	spans := in.undelivered(&ledger{})
	if len(spans) != 1 || spans[0].Key != "log:in_container_startup" || spans[0].ParentKey != "pod_startup" || in.toldKey(1) != spans[0].Key {
		t.Errorf("%+v", spans)
	}
	if s := compared(startup.Span{Key: "vllm_init", ParentKey: "in_container_startup"}); s.Key != "log:vllm_init" || s.ParentKey != "log:in_container_startup" {
		t.Errorf("%+v", s)
	}
}

// Lines of the next run must not be taken for this one's: who reads in between does not know yet that the run has ended.
func TestALogIsBegunAnewWhenItMayHoldAnotherRunsLines(t *testing.T) {
	run := aRun(1, 0)
	for name, tc := range map[string]struct {
		run  container.Run
		last time.Duration
		anew bool
	}{
		"it goes on":                     {run: run, last: time.Minute},
		"it ended after all lines":       {run: aRun(1, 0, ended(time.Minute)), last: time.Minute},
		"there are lines after its end":  {run: aRun(1, 0, ended(time.Minute)), last: 2 * time.Minute, anew: true},
		"it began at another time":       {run: aRun(1, time.Second), last: time.Minute, anew: true},
		"it is ready and goes on saying": {run: aRun(1, 0, ready(time.Minute)), last: 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reading{attempt: 1}
			r.Begin(run)
			before := r.Log
			before.Line(created.Add(tc.last), []byte("a line"))
			r.Begin(tc.run)
			if anew := r.Log != before; anew != tc.anew {
				t.Errorf("anew: %v", anew)
			}
		})
	}
}

// However often nobody answers, a start has its bound of requests: the looks in between, and the tries of the last one.
func TestAStartWhoseKubeletNeverAnswersHasABoundOfRequests(t *testing.T) {
	const most = maxLooks + maxTries
	crashing := func(now time.Duration) (runs []container.Run) {
		const each = time.Minute
		for n := range int(now/each) + 1 {
			begin := time.Duration(n) * each
			if begin+each > now {
				runs = append(runs, aRun(n+1, begin))
				break
			}
			runs = append(runs, aRun(n+1, begin, ended(begin+each-time.Second)))
		}
		return runs
	}
	for name, tc := range map[string]struct {
		runs func(now time.Duration) []container.Run
		why  string
		want int
	}{
		"that is ready after twenty minutes": {func(now time.Duration) []container.Run {
			if now < 20*time.Minute {
				return []container.Run{aRun(1, 0)}
			}
			return []container.Run{aRun(1, 0, ready(20*time.Minute))}
		}, unseenUnanswered, most},
		"that is ready at once":         {func(time.Duration) []container.Run { return []container.Run{aRun(1, 0, ready(time.Second))} }, unseenUnanswered, maxTries},
		"that crashes each minute":      {crashing, unseenUnanswered, maxLooks},
		"of which there is no log left": {crashing, unseenGone, most},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := aTerm(t, 0, newRecord())
			s := &start{inside: &inside{by: inject.InsideLog}}
			requests := 0
			for now := time.Duration(0); now < time.Hour; now += time.Second {
				next, _, _ := s.inside.next(created.Add(now), tc.runs(now), false, func(int) bool { return false })
				if next == nil {
					continue
				}
				requests++
				s.inside.asked++
				w.unheard(s, s.inside.of(next.run.Attempt), next, tc.why, created.Add(now))
			}
			if requests > most || requests < tc.want && tc.why == unseenUnanswered {
				t.Errorf("%d requests, want %d, at most %d", requests, tc.want, most)
			}
		})
	}
}

// The kubelet waits longer and longer before it starts a container again: there is time to read what each attempt failed of.
func TestEachAttemptOfACrashLoopIsReadWhileItIsTheLast(t *testing.T) {
	const attempts = 8
	for line, want := range map[string]int{
		"(EngineCore pid=9) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB": attempts,
		"nothing that says why": attempts + 3, // of the first three once more, as long as there are requests for that
	} {
		w, _ := aTerm(t, 0, newRecord())
		s := &start{inside: &inside{by: inject.InsideLog}}
		requests := 0
		for now := time.Duration(0); now < attempts*time.Minute; now += drained {
			var runs []container.Run
			for n := range int(now/time.Minute) + 1 {
				begin := time.Duration(n) * time.Minute
				if runs = append(runs, aRun(n+1, begin)); now >= begin+20*time.Second {
					runs[n] = aRun(n+1, begin, ended(begin+20*time.Second))
				}
			}
			next, _, _ := s.inside.next(created.Add(now), runs, false, func(int) bool { return false })
			if next == nil {
				continue
			}
			requests++
			s.inside.asked++
			r := s.inside.of(next.run.Attempt)
			r.Begin(next.run)
			for _, text := range []string{"INFO 05-01 06:00:01 [api_server.py:1839] vLLM API server version 0.11.0", line} {
				r.Log.Line(next.run.At.Add(time.Second), []byte(text))
			}
			w.understood(s, r, next, podlog.Answer{}, created.Add(now), created.Add(now))
		}
		if requests != want || s.inside.unseen != "" {
			t.Errorf("%q: %d requests, want %d; %s", line, requests, want, s.inside.unseen)
		}
	}
}
