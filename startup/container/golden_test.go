// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

var update = flag.Bool("update", false, "rewrite the golden trees")

// Each testdata/NAME.start says what was seen of a start, a fact a line behind the seconds since it began; NAME.tree is what
// it must tell.
func TestFactsTellTheirStarts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.start")
	if err != nil || len(files) == 0 {
		t.Fatalf("no starts: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".start"), func(t *testing.T) {
			script, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			told := play(t, string(script))
			compareTree(t, strings.TrimSuffix(path, ".start")+".tree", tree(told))
			heard := overhear(t, string(script))
			compareTree(t, strings.TrimSuffix(path, ".start")+".log.tree", tree(heard))
			agree(t, told, heard)
		})
	}
}

func compareTree(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// facts passes on what a script says, a fact a line, after what it says of the begin.
func facts(t *testing.T, script string, begin *Begin, take func(at time.Time, what, rest string)) {
	t.Helper()
	for text := range strings.Lines(script) {
		text = strings.TrimSuffix(text, "\n")
		if text == "" || text[0] == '#' {
			continue
		}
		first, rest, _ := strings.Cut(text, " ")
		switch first {
		case "role":
			begin.Role = startup.Role(rest)
			continue
		case "attempt":
			begin.Attempt = number(t, rest)
			continue
		case "engine":
			begin.Engine = recipe.ByName(rest)
			continue
		}
		seconds, err := strconv.ParseFloat(first, 64)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		what, rest, _ := strings.Cut(rest, " ")
		take(dawn.Add(time.Duration(seconds*float64(time.Second)).Round(time.Microsecond)), what, rest)
	}
}

// play tells a story what a script says.
func play(t *testing.T, script string) *Story {
	t.Helper()
	begin := Begin{At: dawn, Role: startup.RoleServer, Attempt: 1}
	var s *Story
	procs := map[int]*Process{}
	facts(t, script, &begin, func(at time.Time, what, rest string) {
		if s == nil {
			s = New(begin, func([]startup.Span) {})
		}
		words := strings.Fields(rest)
		switch what {
		case "became": // PID PARENT ARGV…
			p := procs[number(t, words[0])]
			if p == nil {
				p = &Process{PID: number(t, words[0]), Parent: number(t, words[1])}
				procs[p.PID] = p
			}
			p.Start, p.Argv = at, words[2:]
			s.Became(p)
		case "exited": // PID WRITTEN [SIGNAL]
			p := procs[number(t, words[0])]
			p.End, p.IO.Written = at, int64(number(t, words[1]))
			if len(words) > 2 {
				p.Signal = number(t, words[2])
			}
			s.Exited(p)
			delete(procs, p.PID)
		case "line":
			s.Line(at, []byte(rest))
		case "settle":
			s.Settle(at)
		case "healthy":
			s.Answered(at, rest)
		case "signal":
			s.Interrupted(at, number(t, rest))
		case "exit":
			s.End(at, &recipe.Exit{Code: number(t, rest)}, "")
		case "killed":
			s.End(at, &recipe.Exit{Signal: number(t, rest)}, "")
		case startup.ReasonTimedOut:
			s.End(at, nil, startup.ReasonTimedOut)
		default:
			t.Fatalf("nobody knows %q", what+" "+rest)
		}
	})
	return s
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tree prints a start as an indented list of its spans: when, for how long, how it ended, its attributes.
func tree(s *Story) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s\n", s.state, s.reason)
	branch(&out, s.phases, startup.Key(startup.SpanPodStartup, "", 1), "", s.begin.At)
	return out.Bytes()
}

func branch(out *bytes.Buffer, spans []startup.Span, parent, indent string, zero time.Time) {
	for _, sp := range spans {
		if sp.ParentKey != parent {
			continue
		}
		fmt.Fprintf(out, "%s%s +%.6fs %.6fs", indent, sp.Key, sp.Start.Sub(zero).Seconds(), sp.Duration().Seconds())
		if sp.Failure != "" {
			fmt.Fprintf(out, " FAILED %s", sp.Failure)
		}
		for _, a := range sp.Attributes {
			fmt.Fprintf(out, " %s=%s", a.Key, strings.ReplaceAll(a.Value.String(), " ", "_"))
		}
		fmt.Fprintln(out)
		for _, e := range sp.Events {
			fmt.Fprintf(out, "%s  * %s +%.2fs", indent, e.Name, e.Time.Sub(zero).Seconds())
			for _, a := range e.Attributes {
				fmt.Fprintf(out, " %s=%s", a.Key, a.Value.String())
			}
			fmt.Fprintln(out)
		}
		branch(out, spans, sp.Key, indent+"  ", zero)
	}
}
