// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// overhear tells what the log of a script's start tells: its lines, and what the kubelet writes to the pod's status. Nobody
// sees a process.
func overhear(t *testing.T, script string) *Story {
	t.Helper()
	run := Run{
		Begin:     Begin{At: dawn, Role: startup.RoleServer, Attempt: 1},
		StartedBy: startup.TimeEventName, EndedBy: startup.TimeStatus,
	}
	type said struct {
		at   time.Time
		text string
	}
	var lines []said
	last := dawn
	for text := range strings.Lines(script) {
		text = strings.TrimSuffix(text, "\n")
		first, rest, _ := strings.Cut(text, " ")
		switch first {
		case "", "#":
			continue
		case "role":
			run.Role = startup.Role(rest)
			continue
		case "attempt":
			run.Attempt = number(t, rest)
			continue
		case "engine":
			run.Engine = recipe.ByName(rest)
			continue
		}
		seconds, err := strconv.ParseFloat(first, 64)
		if err != nil {
			t.Fatal(err)
		}
		at := dawn.Add(time.Duration(seconds * float64(time.Second)).Round(time.Microsecond))
		last = at
		what, rest, _ := strings.Cut(rest, " ")
		switch what {
		case "became":
			_, _, argv := cut3(rest)
			run.Command += " " + argv
			if r := recipe.Match(strings.Fields(argv)); r != nil {
				run.Engine = r
			}
		case "line":
			lines = append(lines, said{at, rest})
		case "healthy":
			run.Ready = at
		case "exit":
			run.Ended, run.Exit = at, recipe.Exit{Code: number(t, rest)}
		case "killed":
			run.Ended, run.Exit = at, recipe.Exit{Code: 128 + number(t, rest)}
		}
	}
	l := NewLog(run)
	for _, s := range lines {
		l.Line(s.at, []byte(s.text))
	}
	l.Finish(last)
	ended, open := l.Spans(last)
	l.story.phases = append(ended, open...)
	return l.story
}

func cut3(s string) (first, second, rest string) {
	first, rest, _ = strings.Cut(s, " ")
	second, rest, _ = strings.Cut(rest, " ")
	return first, second, rest
}

// agree compares what an observer and a log tell of one start: the same spans, no edge further away than a tenth of a second.
func agree(t *testing.T, told, heard *Story) {
	t.Helper()
	byKey := map[string]startup.Span{}
	for _, sp := range told.phases {
		byKey[sp.Key] = sp
	}
	for _, sp := range heard.phases {
		other, ok := byKey[sp.Key]
		if !ok && sp.Name == startup.SpanPythonImport && told.engine.proc == nil {
			continue // nobody saw when its process began
		}
		if !ok {
			t.Errorf("only the log tells %s", sp.Key)
			continue
		}
		off := max(sp.Start.Sub(other.Start).Abs(), sp.End.Sub(other.End).Abs())
		if off > 100*time.Millisecond && (told.engine == nil || told.engine.proc != nil) {
			t.Errorf("%s is off by %v", sp.Key, off)
		}
		if sp.Name != other.Name || sp.ParentKey != other.ParentKey {
			t.Errorf("%s: %+v, observed %+v", sp.Key, sp, other)
		}
		delete(byKey, sp.Key)
	}
	for key := range byKey {
		t.Errorf("the log does not tell %s", key)
	}
}

// spoken is a log of seconds and lines, told to a run.
func spoken(run Run, log string) *Log {
	l := NewLog(run)
	for text := range strings.Lines(log) {
		first, rest, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		var seconds float64
		_, _ = fmt.Sscan(first, &seconds)
		if !l.Line(dawn.Add(time.Duration(seconds*float64(time.Second))), []byte(rest)) {
			break
		}
	}
	return l
}
