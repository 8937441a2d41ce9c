// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestThePageLooksAsItDid(t *testing.T) {
	traces, _ := Selection{}.Apply(load(t, "several"))
	got, err := Page(traces, traces[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "several.html", string(got))
}

func TestThePageLoadsNothingAndRunsNothing(t *testing.T) {
	loads := regexp.MustCompile(`(?i)<(script|img|iframe|object|embed|base)\b|\b(src|srcset|action|on[a-z]+)\s*=|@import|url\(|href="[^"d#]`)
	for _, fixture := range []string{"several", "hostile", "failed"} {
		traces := load(t, fixture)
		got, err := Page(traces, traces[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		// Text of spans is escaped, so what looks like a tag is one.
		if found := loads.Find(regexp.MustCompile(`&[#a-z0-9]+;[^<]*`).ReplaceAll(got, nil)); found != nil {
			t.Errorf("%s: the page has %q", fixture, found)
		}
		if !strings.Contains(string(got), `default-src 'none'`) {
			t.Errorf("%s: the page does not forbid itself to load anything", fixture)
		}
	}
}

func TestFailuresOnThePageAreWordsNotOnlyColours(t *testing.T) {
	traces := load(t, "failed")
	got, err := Page(traces, traces[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"failed after 3m 10s: cuda_out_of_memory, 2 attempts", "failed: cuda_out_of_memory", `lang="en"`, "prefers-color-scheme: dark", ":focus-visible"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestTheListLeadsToEveryStartAndTheNewestAreDrawn(t *testing.T) {
	var traces []*Trace
	for i := range mostDrawn + 3 {
		s := span("1", "", "pod_startup", 0, 9)
		s.TraceID = fmt.Sprintf("%032x", i+1)
		traces = append(traces, Build([]*Span{s})...)
	}
	drawn := traces[len(traces)-1] // an old one that was asked for
	got, err := Page(traces, drawn, nil)
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`href="#(t\w+)"`).FindAllSubmatch(got, -1)
	for _, link := range links {
		if !strings.Contains(string(got), `<section id="`+string(link[1])+`"`) {
			t.Errorf("%s leads nowhere", link[1])
		}
	}
	if rows := strings.Count(string(got), "<tr><td>"); rows != len(traces) || len(links) != mostDrawn+1 {
		t.Errorf("%d starts are listed and %d drawn, want %d and %d", rows, len(links), len(traces), mostDrawn+1)
	}
	if !strings.Contains(string(got), `<section id="t`+drawn.ID+`" class="drawn"`) {
		t.Error("the start that was asked for is not shown first")
	}
}

func TestARowSaysWhatIsItsOwn(t *testing.T) {
	in := spans(root(104, "outcome=ready"), failing(1, 2, 20, oom), scheduling(told("p", "r", "pod_pending", 0, 2)), told("y2", "r", "pod_ready", 30, 104, "attempt=2"))
	for _, s := range in {
		s.Resource = []Attribute{{"service.name", "k8s-startup-watcher"}, {"k8s.pod.uid", "a-uid-of-all"}}
	}
	in[0].Events = []Event{{Name: "container_terminated", Time: noon.Add(20e9)}, {Name: "container_terminated", Time: noon.Add(25e9)}}
	traces := Build(in)
	got, err := Page(traces, traces[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, times := range map[string]int{
		"a-uid-of-all": 1, // what all spans say, once
		`<span>failed: cuda_out_of_memory</span>`:     1, // on the culprit's row alone
		`class="row failing`:                          4, // its parents, and what tells the attempt along with it
		`<small>container_terminated ×2</small>`:      1,
		`<small>insufficient_gpu, taints</small>`:     1,
		`title="container_terminated at &#43;25.0 s"`: 1,
		`title="restart_backoff: 10.0 s`:              1,
	} {
		if n := strings.Count(string(got), text); n != times {
			t.Errorf("the page has %q %d times, want %d", text, n, times)
		}
	}
}
