// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
	"github.com/coldtrace/coldtrace/test/timelinetest"
)

// fact is something that can be added to Facts.
type fact func(*pod.Facts)

// eachCapture calls f with the facts of each pod of each capture. The first fact is a version of the pod, without which events
// mean nothing; the watcher keeps events back until then.
func eachCapture(t *testing.T, f func(t *testing.T, name string, facts []fact, taken time.Time)) {
	t.Helper()
	paths, err := filepath.Glob("../../capture/testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := capture.Read(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.Pods {
			f(t, filepath.Base(path), factsOf(p, c.Taken), c.Taken)
		}
	}
}

func factsOf(p *capture.Pod, taken time.Time) []fact {
	var out []fact
	for _, version := range p.Versions {
		out = append(out, podFact(version, capture.SeenAt(version, taken)))
	}
	for _, e := range p.Events {
		out = append(out, func(f *pod.Facts) { f.Event(e) })
	}
	return out
}

func podFact(p *corev1.Pod, seen time.Time) fact { return func(f *pod.Facts) { f.Pod(p, seen) } }

func tell(facts []fact, now time.Time) pod.Timeline {
	f := &pod.Facts{}
	for _, add := range facts {
		add(f)
	}
	return f.Build(now, 0)
}

func printed(t pod.Timeline) string {
	var b bytes.Buffer
	timelinetest.Write(&b, &t)
	return b.String()
}

// sound fails the test if the spans do not nest, overlap their parent's ends, or are open though the start is over.
func sound(t *testing.T, name string, tl pod.Timeline) {
	t.Helper()
	spans := map[string]pod.Span{}
	for _, s := range tl.Spans {
		if _, twice := spans[s.Key]; twice {
			t.Fatalf("%s: two spans have the key %s\n%s", name, s.Key, printed(tl))
		}
		spans[s.Key] = s
	}
	for _, s := range tl.Spans {
		switch parent, ok := spans[s.ParentKey]; {
		case s.End.Before(s.Start):
			t.Fatalf("%s: %s has a negative length\n%s", name, s.Key, printed(tl))
		case s.Open && tl.Outcome != pod.Open:
			t.Fatalf("%s: %s is open\n%s", name, s.Key, printed(tl))
		case s.ParentKey == "":
		case !ok:
			t.Fatalf("%s: %s has no parent\n%s", name, s.Key, printed(tl))
		case s.Start.Before(parent.Start) || s.End.After(parent.End):
			t.Fatalf("%s: %s does not lie in %s\n%s", name, s.Key, parent.Key, printed(tl))
		}
		for _, e := range s.Events {
			if root := tl.Spans[0]; e.Time.Before(root.Start) || e.Time.After(root.End) {
				t.Fatalf("%s: event %s lies outside the start\n%s", name, e.Name, printed(tl))
			}
		}
	}
	if len(tl.Spans) > 0 && tl.Spans[0].Name != startup.SpanPodStartup {
		t.Fatalf("%s: the root is not first", name)
	}
}

func TestAnyOrderAndAnyRepetitionOfTheFactsTellsTheSameStart(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	eachCapture(t, func(t *testing.T, name string, facts []fact, taken time.Time) {
		want := printed(tell(facts, taken))
		for range 200 {
			shuffled := append([]fact{}, facts...)
			for range random.IntN(4) {
				shuffled = append(shuffled, facts[random.IntN(len(facts))])
			}
			random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if got := printed(tell(append(facts[:1:1], shuffled...), taken)); got != want {
				t.Fatalf("%s: got\n%s\nwant\n%s", name, got, want)
			}
		}
	})
}

func TestAStartIsSoundWhateverIsLostAndConvergesOnceItIsKnown(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	eachCapture(t, func(t *testing.T, name string, facts []fact, taken time.Time) {
		whole := tell(facts, taken)
		sound(t, name, whole)
		for range 200 {
			f := &pod.Facts{}
			var lost []fact
			facts[0](f)
			for _, add := range facts[1:] {
				if random.IntN(3) == 0 {
					lost = append(lost, add)
				} else {
					add(f)
				}
			}
			sound(t, name, f.Build(taken, 0))
			// The same at a time in the middle of the start, and at one when nobody waits any longer.
			middle := whole.Spans[0].Start.Add(time.Duration(random.Int64N(int64(whole.Spans[0].Duration() + 1))))
			sound(t, name, f.Build(middle, 0))
			late := f.Build(taken.Add(2*pod.DefaultTimeout), 0)
			sound(t, name, late)
			if late.Outcome == pod.Open {
				t.Fatalf("%s: still open after the time-out", name)
			}
			for _, add := range lost {
				add(f)
			}
			if got, want := printed(f.Build(taken, 0)), printed(whole); got != want {
				t.Fatalf("%s: got\n%s\nwant\n%s", name, got, want)
			}
		}
	})
}

// The streaming watcher exports a span as soon as it is exact; what is known later must not contradict it.
func TestAnExactSpanDoesNotChangeWhenMoreIsKnown(t *testing.T) {
	eachCapture(t, func(t *testing.T, name string, facts []fact, taken time.Time) {
		exact := map[string]pod.Span{}
		f := &pod.Facts{}
		for _, add := range facts {
			add(f)
			for _, s := range f.Build(taken, 0).Spans {
				if old, ok := exact[s.Key]; ok && (!old.Start.Equal(s.Start) || !old.End.Equal(s.End) || old.Failure != s.Failure) {
					t.Errorf("%s: %s was %v to %v %q and is %v to %v %q", name, s.Key,
						old.Start, old.End, old.Failure, s.Start, s.End, s.Failure)
				}
				if s.Exact && !s.Open {
					exact[s.Key] = s
				}
			}
		}
	})
}
