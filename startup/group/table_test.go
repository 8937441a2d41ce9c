// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"fmt"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
)

func TestAGroupForWhosePodsThereIsNoRoomIsNotTold(t *testing.T) {
	var table group.Table
	for i := range group.MaxMembers - 1 {
		p := ray("head", fmt.Sprint("head-", i), fmt.Sprint("c", i)).going(0)
		m, _ := p.member()
		if fits, news := table.Put(m); !fits || !news {
			t.Fatalf("no room for member %d", i)
		}
	}
	leader, _ := lws(0, 2, "a").ready(0, 1, 2).member()
	worker, _ := lws(1, 2, "a").started(0, 1).member()
	if fits, _ := table.Put(leader); !fits {
		t.Error("no room for the last member")
	}
	if fits, _ := table.Put(worker); fits {
		t.Error("there is room for more members than there may be")
	}
	for _, s := range table.Starts("models", "lws/llama/0", second(later)) {
		if !s.Partial {
			t.Errorf("%s after %s is told of a group one of whose pods is not known", s.Outcome, s.End.Sub(s.Begin))
		}
		table.Done(s.Namespace, s.Key, s.Parts...)
	}
	table.Starts("models", "lws/llama/0", second(later)) // which drops what is done
	again, _ := lws(0, 2, "b").ready(100, 101, 102).member()
	if fits, _ := table.Put(again); !fits {
		t.Error("what is done takes room")
	}
}

// Pods of a Deployment that a node evicts are replaced, and evicted, by the thousand.
func TestPodsThatFailByTheThousandAreLookedAtOnceEach(t *testing.T) {
	slow := declared("decode", "", "2").ready(1, 2, 1e6)
	slow.name = "slow"
	for name, others := range map[string][]pod{"another never comes": nil, "another is ready late": {slow}} {
		t.Run(name, func(t *testing.T) {
			look := func(failing int) float64 {
				var table group.Table
				pods := append([]pod{declared("prefill", "", "2").ready(0, 1, 10)}, others...)
				for i := range failing {
					p := declared("decode", "", "2").failed(20+float64(i), 21+float64(i), "Evicted")
					p.name = fmt.Sprint("evicted-", i)
					pods = append(pods, p)
				}
				key := ""
				for _, p := range pods {
					m, ok := p.member()
					if !ok {
						t.Fatal("it is of no group")
					}
					key = m.Group.Key
					table.Put(m)
				}
				if n := len(table.Starts("models", key, second(later))); n != 1 {
					t.Fatalf("%d starts", n)
				}
				return testing.AllocsPerRun(1, func() { table.Starts("models", key, second(later)) })
			}
			if n := look(2000); n > 2000 { // one look before each would be some 30 times as many
				t.Errorf("%.0f allocations for 2000 pods", n)
			}
		})
	}
}

// The API tells the second in which a pod was created, and a group may be made anew within one.
func TestTwoMakingsOfOneSecondAreToldApartByWhatIsDone(t *testing.T) {
	for _, makings := range [][2]string{{"a", "b"}, {"b", "a"}} {
		var table group.Table
		put := func(pods ...pod) (key string) {
			for _, p := range pods {
				m, _ := p.member()
				key = m.Group.Key
				table.Put(m)
			}
			return key
		}
		key := put(lws(0, 2, makings[0]).ready(0, 0.1, 0.2), lws(1, 2, makings[0]).started(0, 0.1))
		for _, s := range table.Starts("models", key, second(later)) {
			table.Done(s.Namespace, s.Key, s.Parts...)
		}
		put(lws(0, 2, makings[1]).ready(0, 0.8, 0.9), lws(1, 2, makings[1]).started(0, 0.8))
		if again := table.Starts("models", key, second(later)); len(again) != 1 || len(again[0].Members) != 2 || len(again[0].Parts) != 2 {
			t.Errorf("%s after %s: %+v, want one start of two pods", makings[1], makings[0], again)
		}
	}
}

func TestGroupsThatAreOverAreForgottenWhenThereAreTooMany(t *testing.T) {
	var table group.Table
	const many = 30000
	for i := range many {
		m, _ := ray("head", fmt.Sprint("head-", i), fmt.Sprint("c", i)).ready(float64(i), float64(i), float64(i+1)).member()
		table.Put(m)
		for _, s := range table.Starts(m.Namespace, m.Group.Key, second(later)) {
			table.Done(s.Namespace, s.Key, s.Parts...)
		}
		table.Starts(m.Namespace, m.Group.Key, second(later))
	}
	if n := len(table.Keys("models")); n > 20000 {
		t.Errorf("%d groups are remembered", n)
	}
	last, _ := ray("head", fmt.Sprint("head-", many-1), fmt.Sprint("c", many-1)).ready(0, 0, 1).member()
	table.Put(last)
	if n := len(table.Starts("models", last.Group.Key, second(later))); n != 0 {
		t.Error("the newest is forgotten")
	}
}

// A member's node may be asked when it is in its group already, or over.
func TestAMembersGPUIsLearntLate(t *testing.T) {
	open, _ := lws(0, 2, "a").started(0, 1).member()
	over, _ := lws(1, 2, "a").ready(0, 1, 2).member()
	for name, m := range map[string]group.Member{"open": open, "over": over} {
		t.Run(name, func(t *testing.T) {
			var table group.Table
			m.GPU = ""
			table.Put(m)
			asked := m
			asked.Outcome, asked.GPU = "", "h100"
			table.Put(asked)
			if got := table.Members(); len(got) != 1 || got[0].GPU != "h100" || got[0].Outcome != m.Outcome {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestLinksLeadToAndFromLeaders(t *testing.T) {
	for name, c := range map[string]struct {
		pods []pod
		of   int
		want []string
	}{
		"a leader's lead to its workers":              {[]pod{lws(0, 3, "a").going(0), lws(1, 3, "a").going(1), lws(2, 3, "a").going(1)}, 0, []string{"llama-0-1@a", "llama-0-2@a"}},
		"a worker's leads to its leader":              {[]pod{lws(0, 3, "a").going(0), lws(1, 3, "a").going(1), lws(2, 3, "a").going(1)}, 2, []string{"llama-0@a"}},
		"of two makings each leads to its own":        {[]pod{lws(0, 2, "a").deleted(0, 10), lws(1, 2, "a").deleted(1, 10), lws(0, 2, "b").going(20), lws(1, 2, "b").going(21)}, 3, []string{"llama-0@b"}},
		"a worker whose leader is not known has none": {[]pod{lws(1, 3, "a").going(1), lws(2, 3, "a").going(1)}, 0, nil},
		"where nobody leads, all lead to all":         {[]pod{declared("prefill", "", "2").going(0), declared("decode", "", "2").going(0)}, 0, []string{"decode-7d4f-x"}},
	} {
		t.Run(name, func(t *testing.T) {
			var table group.Table
			for _, m := range members(c.pods) {
				table.Put(m)
			}
			m, _ := c.pods[c.of].member()
			var got []string
			for _, l := range table.Links(startup.Subject{PodUID: m.UID, Endpoint: startup.Endpoint{Namespace: m.Namespace, Group: m.Group}, Hash: startup.MD5}, second(100)) {
				got = append(got, l.PodName)
				if want := startup.MD5.TraceID("uid-" + l.PodName); l.Context.TraceID() != want {
					t.Errorf("the link to %s has trace %s, want %s", l.PodName, l.Context.TraceID(), want)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestGroupsForWhosePodsThereIsNoRoomAreNotHeldForGood(t *testing.T) {
	var table group.Table
	for i := range group.MaxMembers {
		p := ray("worker", fmt.Sprint("worker-", i), "large").going(0)
		m, _ := p.member()
		table.Put(m)
	}
	for i := range 30000 {
		p := ray("head", fmt.Sprint("head-", i), fmt.Sprint("c", i)).going(0)
		m, _ := p.member()
		if fits, _ := table.Put(m); fits {
			t.Fatal("there is room for more members than there may be")
		}
	}
	if n := len(table.Keys("models")); n > 20000 {
		t.Errorf("%d groups are held, all but one of them without a member", n)
	}
}
