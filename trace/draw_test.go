// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

func load(t *testing.T, name string) []*Trace {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	spans, _, err := Read(name, file)
	if err != nil {
		t.Fatal(err)
	}
	return Build(spans)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (-update rewrites it):\n%s", path, got)
	}
}

func TestWaterfallsLookAsTheyDid(t *testing.T) {
	for _, fixture := range []string{"ready", "failed", "inflight"} {
		for _, o := range []Options{{Width: 80}, {Width: 100}, {Width: 160}, {Width: 100, Colour: true}, {Width: 80, ASCII: true}} {
			name := fixture + "-" + strconv.Itoa(o.Width)
			if o.Colour {
				name += "-colour"
			}
			if o.ASCII {
				name += "-ascii"
			}
			t.Run(name, func(t *testing.T) {
				golden(t, name+".txt", Waterfall(load(t, fixture)[0], o))
			})
		}
	}
}

func TestTablesLookAsTheyDid(t *testing.T) {
	traces, others := Selection{}.Apply(load(t, "several"))
	if others != 1 {
		t.Errorf("%d traces are no starts, want the 1 request", others)
	}
	for _, o := range []Options{{Width: 80}, {Width: 160}, {Width: 100, Colour: true}} {
		name := "table-" + strconv.Itoa(o.Width)
		if o.Colour {
			name += "-colour"
		}
		t.Run(name, func(t *testing.T) { golden(t, name+".txt", Table(traces, traces[0], o)) })
	}
}

func TestNoLineIsLongerThanTheTerminalIsWide(t *testing.T) {
	for _, fixture := range []string{"ready", "failed", "inflight", "several", "hostile"} {
		traces := load(t, fixture)
		for width := 1; width <= 200; width++ {
			for _, ascii := range []bool{false, true} {
				o := Options{Width: width, ASCII: ascii}
				var drawing strings.Builder
				drawing.WriteString(Table(traces, traces[0], o))
				for _, tr := range traces {
					drawing.WriteString(Waterfall(tr, o))
				}
				for text := range strings.Lines(drawing.String()) {
					text = strings.TrimSuffix(text, "\n")
					if columns(text) > width {
						t.Fatalf("%s at %d columns: %d wide: %q", fixture, width, columns(text), text)
					}
					if strings.TrimRight(text, " ") != text {
						t.Fatalf("%s at %d columns: blanks at the end: %q", fixture, width, text)
					}
				}
			}
		}
	}
}

// A name is there to be copied, and why a start failed is what one looks for: both are broken rather than cut.
func TestTheHeadIsWholeAtAnyWidth(t *testing.T) {
	long := strings.Repeat("a-rather-long-name-", 12) + "end"
	s := root(30, "outcome=failed", long, "k8s.pod.name="+long, "endpoint_name="+long, "model_name="+long+"-instruct", "k8s.node.name="+long, "k8s.namespace.name=models")
	for _, width := range []int{12, 20, 40, 80, 160} {
		head, _, _ := strings.Cut(Waterfall(Build([]*Span{s})[0], Options{Width: width}), "\n\n")
		if whole := strings.Join(strings.Fields(head), ""); strings.Count(whole, long) != 5 || strings.Contains(whole, "…") {
			t.Errorf("at %d columns not all is told:\n%s", width, head)
		}
	}
}

func TestColoursChangeNoCharacter(t *testing.T) {
	for _, fixture := range []string{"ready", "failed", "hostile"} {
		tr := load(t, fixture)[0]
		for _, width := range []int{10, 40, 80, 130} {
			coloured := Waterfall(tr, Options{Width: width, Colour: true})
			// The legend only exists in colour.
			coloured = coloured[:strings.LastIndex(strings.TrimSuffix(coloured, "\n"), "\n")+1]
			if got, want := strip(coloured), Waterfall(tr, Options{Width: width}); got != want {
				t.Errorf("%s at %d: in colour\n%s\nwithout\n%s", fixture, width, got, want)
			}
		}
	}
}

// strip removes ANSI colours.
func strip(s string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		_, s, _ = strings.Cut(after, "m")
	}
}

func TestNothingInASpanReachesTheTerminalRaw(t *testing.T) {
	for _, tr := range load(t, "hostile") {
		for _, drawing := range []string{Waterfall(tr, Options{}), Table([]*Trace{tr}, tr, Options{})} {
			for _, r := range drawing {
				if r != '\n' && (r < ' ' || r == 0x7f || r == 0x202e || r >= 0x80 && r < 0xa0) {
					t.Fatalf("%U is in the drawing:\n%q", r, drawing)
				}
			}
		}
	}
}
