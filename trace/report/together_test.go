// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

// pair is a group of two pods: a leader, and a worker whose image took so many seconds to pull; 0: it never came.
func pair(name string, pull float64, outcome string) []Start {
	leader := startOf(tracetest.Trace(name+"-0", fmt.Sprintf(`
		endpoint_name=llama group.key=lws/%s/0 group.generation=%s-0 group.part=leader group.role=leader group.index=0 group.size=2
		pod_startup 0-300 %s
		  image_pull 1-11
		  pod_ready 12-300`, name, name, outcome)))
	if pull == 0 {
		return []Start{leader}
	}
	return []Start{leader, startOf(tracetest.Trace(name+"-1", fmt.Sprintf(`
		endpoint_name=llama group.key=lws/%s/0 group.generation=w group.part=worker group.role=worker group.index=1 group.size=2
		pod_startup 1-%g outcome=started
		  image_pull 2-%g
		  pod_ready %g-%g`, name, pull+2, pull+2, pull+2, pull+2)))}
}

func TestAReportCountsGroupsOfPods(t *testing.T) {
	var starts []Start
	for name, c := range map[string]struct {
		pull    float64
		outcome string
	}{
		"a": {10, "outcome=ready"}, "b": {200, "outcome=ready"}, "c": {250, "outcome=ready"},
		"deleted": {10, "outcome=deleted !deleted"}, "going": {10, "open"}, "alone": {0, "outcome=ready"},
	} {
		starts = append(starts, pair(name, c.pull, c.outcome)...)
	}
	r := New(starts, "endpoint")
	const want = "5 groups of pods that start as one: 3 ready (p50 5m 00s, p90 5m 00s), 1 failed, 1 still starting; held up by image_pull ×2"
	if text := r.Text(trace.Options{Width: 160}); !strings.Contains(text, want) {
		t.Errorf("the report lacks %q:\n%s", want, text)
	}
	var out bytes.Buffer
	if err := r.JSON(&out); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(strings.Fields(out.String()), ""); !strings.Contains(text, `"pod_groups":{"starts":5,"ready":3,"failed":1,"starting":1`) ||
		!strings.Contains(text, `"held_up":[{"reason":"image_pull","starts":2}]`) {
		t.Error(out.String())
	}
	if text := New(several(), "endpoint").Text(trace.Options{Width: 160}); strings.Contains(text, "groups of pods") {
		t.Errorf("there are no groups:\n%s", text)
	}
}

// rollout is two workloads that an annotation joins to a group of four pods, of which one is rolled out: its pods are made again.
func rollout(ended string) (starts []Start) {
	for i, pod := range []struct {
		part, making string
		at           float64
	}{{"prefill", "p1", 0}, {"prefill", "p1", 0}, {"decode", "d1", 0}, {"decode", "d1", 0}, {"decode", "d2", 5000}, {"decode", "d2", 5000}} {
		outcome := "outcome=ready"
		if pod.at > 0 {
			outcome = ended
		}
		starts = append(starts, startOf(tracetest.Trace(fmt.Sprint("pod-", i), fmt.Sprintf(`
			endpoint_name=llama group.key=group/both group.generation=%s group.part=%s group.role=server group.size=4
			pod_startup %g-%g %s
			  pod_ready %g-%g`, pod.making, pod.part, pod.at, pod.at+100, outcome, pod.at+10, pod.at+100))))
	}
	return starts
}

func TestARolloutOfOneOfTwoWorkloadsIsNoStartOfTheGroup(t *testing.T) {
	for ended, want := range map[string]string{
		"outcome=ready": "1 group of pods that start as one: 1 ready (p50 1m 40s, p90 1m 40s)\n",
		"open":          "1 still starting", // nobody can tell yet
	} {
		if text := New(rollout(ended), "endpoint").Text(trace.Options{Width: 160}); !strings.Contains(text, want) {
			t.Errorf("%s: the report lacks %q:\n%s", ended, want, text)
		}
	}
}

func TestAReportSaysThatThereWasNoRoomForAllPodsOfGroups(t *testing.T) {
	starts := pair("a", 10, "outcome=ready")
	like := *starts[1].member
	for i := range group.MaxMembers {
		m := like
		m.UID, m.Group.Key = fmt.Sprint("uid-", i), fmt.Sprint("lws/other/", i/8)
		starts = append(starts, Start{member: &m})
	}
	const want = "without the groups of 2 pods for which there was no room"
	if line := together(starts).line(); !strings.Contains(line, want) {
		t.Errorf("%q lacks %q", line, want)
	}
}
