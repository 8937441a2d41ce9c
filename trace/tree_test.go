// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// span is from and to seconds after noon.
func span(id, parent, name string, from, to float64) *Span {
	at := func(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }
	return &Span{TraceID: "t", ID: id, ParentID: parent, Name: name, Start: at(from), End: at(to)}
}

func shape(t *Trace) string {
	var (
		out strings.Builder
		say func(nodes []*Node)
	)
	say = func(nodes []*Node) {
		for i, n := range nodes {
			if i > 0 {
				out.WriteByte(' ')
			}
			if n.Missing {
				out.WriteByte('?')
			}
			out.WriteString(n.Name)
			if len(n.Children) > 0 {
				out.WriteByte('(')
				say(n.Children)
				out.WriteByte(')')
			}
		}
	}
	say(t.Roots)
	return out.String()
}

func TestSpansBecomeTheirTree(t *testing.T) {
	const uid = "0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10"
	ofPod := span("1", startup.MD5.SpanID(uid, startup.SpanPodStartup).String(), "image_pull", 0, 1)
	ofPod.Resource = []Attribute{{startup.ResourcePodUID, uid}}
	inContainer := span("1", startup.SHA256.SpanID(uid, startup.KeyInContainer).String(), "s5cmd_download", 0, 1)
	inContainer.Resource = ofPod.Resource

	for name, c := range map[string]struct {
		spans     []*Span
		want      string
		conflicts int
	}{
		"children are sorted by their start": {
			spans: []*Span{span("c", "a", "late", 5, 6), span("b", "a", "early", 1, 2), span("a", "", "root", 0, 9)}, want: "root(early late)",
		},
		"of two that start together the longer comes first": {
			spans: []*Span{span("a", "", "root", 0, 9), span("b", "a", "short", 1, 2), span("c", "a", "long", 1, 3)}, want: "root(long short)",
		},
		"an identical repeat is one span": {
			spans: []*Span{span("a", "", "root", 0, 9), span("a", "", "root", 0, 9)}, want: "root",
		},
		"of a repeat that differs what ended last stays": {
			spans: []*Span{span("a", "", "longest", 0, 9), span("a", "", "shorter", 0, 8)}, want: "longest", conflicts: 1,
		},
		"orphans of one parent share a stand-in": {
			spans: []*Span{span("b", "x", "one", 1, 2), span("c", "x", "two", 2, 3), span("d", "y", "three", 3, 4)},
			want:  "?(parent missing)(one two) ?(parent missing)(three)",
		},
		"a missing root is known by its id":            {spans: []*Span{ofPod}, want: "?pod_startup(image_pull)"},
		"so is the missing span of the container":      {spans: []*Span{inContainer}, want: "?startup(s5cmd_download)"},
		"a span that is its own parent is drawn":       {spans: []*Span{span("a", "a", "self", 0, 1)}, want: "?(parent missing)(self)"},
		"a circle is cut at its first span":            {spans: []*Span{span("a", "c", "a", 0, 9), span("b", "a", "b", 1, 8), span("c", "b", "c", 2, 7)}, want: "?(parent missing)(a(b(c)))"},
		"what hangs on a circle stays in its place":    {spans: []*Span{span("a", "b", "a", 1, 9), span("b", "a", "b", 2, 8), span("x", "b", "x", 0, 1)}, want: "?(parent missing)(a(b(x)))"},
		"two roots of one trace are two trees":         {spans: []*Span{span("a", "", "a", 0, 1), span("b", "", "b", 1, 2)}, want: "a b"},
		"a child that starts first stays with its own": {spans: []*Span{span("a", "", "a", 1, 3), span("b", "a", "b", 0, 2)}, want: "a(b)"},
	} {
		t.Run(name, func(t *testing.T) {
			built := Build(c.spans)
			if len(built) != 1 {
				t.Fatalf("%d traces", len(built))
			}
			if got := shape(built[0]); got != c.want {
				t.Errorf("tree %s, want %s", got, c.want)
			}
			if built[0].Conflicts != c.conflicts {
				t.Errorf("%d conflicts, want %d", built[0].Conflicts, c.conflicts)
			}
		})
	}
}

func TestEverySpanIsInTheTreeOnceWhateverTheParentsAre(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n := 1 + rnd.IntN(12)
		var spans []*Span
		for i := range n {
			parent := ""
			if p := rnd.IntN(n + 3); p < n+2 {
				parent = string(rune('a' + p))
			}
			from := float64(rnd.IntN(10))
			spans = append(spans, span(string(rune('a'+i)), parent, "s", from, from+float64(rnd.IntN(10))))
		}
		built := Build(spans)[0]
		seen := map[string]int{}
		built.Walk(func(node *Node) {
			if !node.Missing {
				seen[node.ID]++
			}
		})
		for _, s := range spans {
			if seen[s.ID] != 1 {
				t.Fatalf("span %s is drawn %d times: %s", s.ID, seen[s.ID], shape(built))
			}
		}
	}
}

func TestExclusiveTimesAddUpToWhatIsCovered(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var (
			spans   []*Span
			covered [40]bool
		)
		for i := range 1 + rnd.IntN(10) {
			from, length := rnd.IntN(20), rnd.IntN(20)
			for s := from; s < from+length; s++ {
				covered[s] = true
			}
			spans = append(spans, span(string(rune('a'+i)), "", "s", float64(from), float64(from+length)))
		}
		var want, got time.Duration
		for _, c := range covered {
			if c {
				want += time.Second
			}
		}
		Build(spans)[0].Walk(func(n *Node) { got += n.Exclusive })
		if got != want {
			t.Fatalf("exclusive times add up to %v, covered are %v", got, want)
		}
	}
}

func TestWhatGoesOnAfterAStartExplainsNoneOfIt(t *testing.T) {
	for name, late := range map[string][]*Span{
		"a child that ends after its parent": {span("i", "r", startup.SpanImagePull, 0, 250)},
		"a child that begins before it":      {span("i", "r", startup.SpanImagePull, -50, 20)},
		"a child that is wholly after it":    {span("i", "r", startup.SpanImagePull, 120, 250)},
		"a child of a child":                 {span("i", "r", startup.SpanImagePull, 0, 30), span("q", "i", "image_pull_queued", 10, 900)},
		"several that overlap":               {span("i", "r", startup.SpanImagePull, 0, 400), span("j", "r", startup.SpanPodPending, 0, 400), span("k", "r", startup.SpanSandboxCreating, 5, 400)},
	} {
		built := Build(append(late, span("r", "", startup.SpanPodStartup, 0, 100)))[0]
		sum := built.Uncovered()
		for _, n := range built.Phases() {
			sum += n.Exclusive
		}
		if built.Took() != sum || built.Uncovered() < 0 {
			t.Errorf("%s: phases and gaps add up to %v, the start took %v", name, sum, built.Took())
		}
	}
}

func TestADeepTraceIsDrawnAsQuicklyAsAFlatOne(t *testing.T) {
	const many = 10_000
	drawn := func(parent func(i int) int) (drawing string, took time.Duration) {
		spans := []*Span{span("0", "", startup.SpanPodStartup, 0, many)}
		for i := 1; i < many; i++ {
			s := span(strconv.Itoa(i), strconv.Itoa(parent(i)), "phase", float64(i)/3, many-float64(i)/3)
			s.Failed, s.Open = i%2 == 0, i%3 == 0
			spans = append(spans, s)
		}
		begun := time.Now()
		drawing = Waterfall(Build(spans)[0], Options{Width: 80})
		return drawing, time.Since(begun)
	}
	_, flat := drawn(func(int) int { return 0 })
	deep, took := drawn(func(i int) int { return i - 1 })
	t.Logf("flat %v, deep %v", flat, took)
	if took > 30*flat { // where each span was looked at from each, a hundred times as long
		t.Errorf("%d spans in one another took %v to draw, and %v beside one another", many, took, flat)
	}
	if name := "+" + strconv.Itoa(many-1-Options{Width: 80}.deepest()) + " "; !strings.Contains(deep, name) {
		t.Errorf("the innermost row does not say with %q how deep it is", name)
	}
}

func TestTheShortestOpenSpanExplainsTheTime(t *testing.T) {
	built := Build([]*Span{
		span("r", "", startup.SpanPodStartup, 0, 100),
		span("p", "r", startup.SpanPodReady, 10, 100),
		span("s", "r", startup.SpanStartup, 10, 95),
		span("v", "s", startup.SpanVLLMInit, 20, 90),
		span("c", "v", startup.SpanTorchCompile, 30, 80),
	})[0]
	var got []string
	for _, n := range built.Phases() {
		got = append(got, n.Name+" "+seconds(n.Exclusive))
	}
	if want := "torch_compile 50.0 s, vllm_init 20.0 s, readiness_wait 5.00 s"; strings.Join(got, ", ") != want {
		t.Errorf("phases %q, want %q", got, want)
	}
	if got := built.Uncovered(); got != 25*time.Second {
		t.Errorf("%v is in no phase, want 25s: before the container, and where only startup is open", got)
	}
}

func TestSelections(t *testing.T) {
	traces := load(t, "several")
	const pod, uid = "llama-3-1-8b-instruct-7c9d4f6b8-x2x7k", "0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10"
	for name, c := range map[string]struct {
		selection Selection
		want      int
	}{
		"nothing asked for selects the starts":    {Selection{}, 3},
		"a trace id":                              {Selection{TraceID: "0123456789abcdef0123456789abcdef"}, 1},
		"the beginning of one in upper case":      {Selection{TraceID: "5A44"}, 1},
		"a pod's UID":                             {Selection{PodUID: uid}, 1},
		"a pod's name":                            {Selection{Pod: pod}, 1},
		"a pod's namespace and name":              {Selection{Pod: "models/" + pod}, 1},
		"the pod in another namespace":            {Selection{Pod: "other/" + pod}, 0},
		"the beginning of two pods' names":        {Selection{Pod: "llama-3-1-8b"}, 2},
		"that in their namespace":                 {Selection{Pod: "models/llama-3-1-8b"}, 2},
		"that in another namespace":               {Selection{Pod: "other/llama-3-1-8b"}, 0},
		"an endpoint":                             {Selection{Pod: "llama-3-1-8b-instruct"}, 2},
		"an end of a name":                        {Selection{Pod: "x2x7k"}, 0},
		"a UID and a name that don't go together": {Selection{PodUID: uid, Pod: "mixtral-8x7b-5d8f7c9b6-qqq4z"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := c.selection.Apply(traces); len(got) != c.want {
				t.Errorf("%d traces, want %d", len(got), c.want)
			}
		})
	}
	exact := []*Trace{{Roots: []*Node{{Span: &Span{Resource: []Attribute{{startup.ResourcePodName, "a"}}}}}}, {Roots: []*Node{{Span: &Span{Resource: []Attribute{{startup.ResourcePodName, "a-1"}}}}}}}
	if got, _ := (Selection{Pod: "a"}).Apply(exact); len(got) != 1 || got[0] != exact[0] {
		t.Errorf("of a and a-1, %d traces are a's, want 1", len(got))
	}
	check := span("1", "", startup.SpanPodStartup, 0, 1)
	check.Resource = []Attribute{{startup.ResourcePodName, "coldtrace-check"}}
	if got, others := (Selection{}).Apply(append(Build([]*Span{check}), traces...)); len(got) != 3 || others != 2 {
		t.Errorf("with a check %d traces are starts and %d not, want 3 and 2", len(got), others)
	}
	requests, _ := Selection{TraceID: "01234"}.Apply(traces)
	if got, others := (Selection{}).Apply(requests); len(got) != 1 || others != 0 {
		t.Errorf("where there are no starts, %d of the other traces are drawn and %d left out, want 1 and 0", len(got), others)
	}
}

func TestDurationsAreSaidInThreeOrFourDigits(t *testing.T) {
	for in, want := range map[time.Duration]string{
		-1: "0 s", 0: "0 s", 1: "<1 ms", 999 * time.Microsecond: "<1 ms", 1499 * time.Microsecond: "1 ms", 999499 * time.Microsecond: "999 ms",
		999500 * time.Microsecond: "1.00 s", 9994 * time.Millisecond: "9.99 s", 9995 * time.Millisecond: "10.0 s", 59949 * time.Millisecond: "59.9 s",
		59950 * time.Millisecond: "1m 00s", 61 * time.Second: "1m 01s", 3599499 * time.Millisecond: "59m 59s", 3599500 * time.Millisecond: "1h 00m", 25 * time.Hour: "25h 00m",
	} {
		if got := seconds(in); got != want {
			t.Errorf("seconds(%d ns) = %q, want %q", in, got, want)
		}
	}
}
