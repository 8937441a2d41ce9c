// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"testing"
	"time"
)

var (
	begin = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	times = Times{CA: 90 * time.Minute, Leaf: 20 * time.Minute, Overlap: time.Minute}
)

func aState(t *testing.T) State {
	t.Helper()
	s, err := newState("ca", nil, "", begin, times)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func advance(t *testing.T, s State, published Bundle, rotate string, now time.Time) (State, Step, time.Duration) {
	t.Helper()
	s, step, wait, err := s.advance("ca", published, rotate, now, times)
	if err != nil {
		t.Fatal(err)
	}
	return s, step, wait
}

// TestNoStepOfARotationEverBreaksTrust plays a year of rotations with publication and replicas that lag behind, and
// checks at each moment that a leaf in use is verified by the bundle in use.
func TestNoStepOfARotationEverBreaksTrust(t *testing.T) {
	s := aState(t)
	published := s.Trusted
	leaf, err := s.Active.Leaf([]string{"a.b.svc"}, begin, times.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	steps := map[Step]int{}
	for now := begin; now.Before(begin.Add(12 * time.Hour)); now = now.Add(10 * time.Second) {
		var step Step
		s, step, _ = advance(t, s, published, "", now)
		steps[step]++
		lag := now.Sub(begin) / (10 * time.Second)
		if lag%3 == 0 {
			published = s.Trusted
		}
		if lag%2 == 0 { // a replica looks
			if published.Contains(s.Active.Cert) && (!now.Before(renewAt(leaf)) || leaf.Leaf.CheckSignatureFrom(s.Active.Cert) != nil) {
				if leaf, err = s.Active.Leaf([]string{"a.b.svc"}, now, times.Leaf); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !published.verifies(leaf.Leaf, "a.b.svc", now) {
			t.Fatalf("after %s the API server would refuse the leaf", now.Sub(begin))
		}
		if len(s.Trusted) > 3 {
			t.Fatalf("%d CAs are trusted", len(s.Trusted))
		}
	}
	if steps[stepPromote] < 8 || steps[stepPromote] != steps[stepPrepare] && steps[stepPromote] != steps[stepPrepare]-1 || steps[stepRetire] < 8 {
		t.Errorf("steps %v", steps)
	}
}

func TestARotationByHandWaitsForTheBundleToBePublished(t *testing.T) {
	s := aState(t)
	old, published := s.Active, s.Trusted
	s, step, _ := advance(t, s, published, "now", begin)
	if step != stepPrepare || len(s.Trusted) != 2 || s.Active != old {
		t.Fatalf("%s %+v", step, s)
	}
	for i := range 100 { // nobody publishes
		if s, _, _ = advance(t, s, published, "now", begin.Add(time.Duration(i)*time.Hour)); s.Active != old {
			t.Fatal("promoted a CA that the API server does not know")
		}
	}
	now := begin.Add(time.Minute)
	s, step, wait := advance(t, s, s.Trusted, "now", now)
	if step != stepAnnounce || wait != times.Overlap {
		t.Fatalf("%s %s", step, wait)
	}
	s, step, _ = advance(t, s, s.Trusted, "now", now.Add(times.Overlap))
	if step != stepPromote || s.Active == old || len(s.Trusted) != 2 {
		t.Fatalf("%s", step)
	}
	s, step, _ = advance(t, s, s.Trusted, "now", now.Add(2*times.Overlap))
	if step != stepRetire || len(s.Trusted) != 1 {
		t.Fatalf("%s %d", step, len(s.Trusted))
	}
	if _, step, _ = advance(t, s, s.Trusted, "now", now.Add(3*times.Overlap)); step != stepNone {
		t.Errorf("the same request was acted upon twice: %s", step)
	}
}

func TestStateSurvivesTheSecretInEveryStep(t *testing.T) {
	s := aState(t)
	now := begin
	for range 5 {
		data, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := back.encode()
		if err != nil {
			t.Fatal(err)
		}
		for key := range data {
			if string(data[key]) != string(again[key]) {
				t.Errorf("%s changed", key)
			}
		}
		s, _, _ = advance(t, back, back.Trusted, "x", now)
		now = now.Add(times.Overlap)
	}
}

func TestADamagedSecretIsAnError(t *testing.T) {
	good, err := aState(t).encode()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]func(map[string][]byte){
		"empty":         func(d map[string][]byte) { clear(d) },
		"no key":        func(d map[string][]byte) { delete(d, keyKey) },
		"garbage":       func(d map[string][]byte) { d[keyCert] = []byte("x") },
		"another's key": func(d map[string][]byte) { other, _ := aState(t).encode(); d[keyKey] = other[keyKey] },
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			data := map[string][]byte{}
			for k, v := range good {
				data[k] = v
			}
			damage(data)
			if _, err := decode(data); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestALostCAIsReplacedWithoutForgettingWhatIsTrusted(t *testing.T) {
	lost := aState(t)
	s, err := newState("ca", lost.Trusted, "", begin, times)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Trusted.Contains(lost.Active.Cert) || !s.Trusted.Contains(s.Active.Cert) {
		t.Error("a replica's leaf of the lost CA would be refused")
	}
	if s, step, _ := advance(t, s, s.Trusted, "", begin.Add(times.Overlap)); step != stepRetire || s.Trusted.Contains(lost.Active.Cert) {
		t.Error("the lost CA is trusted for ever")
	}
}
