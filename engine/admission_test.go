// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/engine"
)

// commandsOf are the ways to write a process of the table.
func commandsOf(p engine.Process) (out []string) {
	switch {
	case p.Module != "":
		out = []string{"python3 -m " + p.Module, "/usr/bin/python -um " + p.Module, "pypy3 -X dev -m" + p.Module}
	case strings.HasSuffix(p.Script, ".sh"):
		out = []string{"/opt/" + p.Script, "bash /opt/" + p.Script}
	default:
		file := p.Script + p.Command
		out = []string{file, "/opt/" + file, "python3.12 -u /opt/" + file}
	}
	for i := range out {
		if p.Word != "" {
			out[i] += " " + p.Word
		}
		if p.Options != nil {
			out[i] += " " + p.Options[0] + "=x"
		}
	}
	return out
}

func TestEveryRowOfTheEngineTableIsReadAlikeInAPodAndInAContainer(t *testing.T) {
	for _, e := range engine.Table {
		for _, p := range e.Processes {
			for _, command := range commandsOf(p) {
				t.Run(command, func(t *testing.T) {
					for _, launchers := range []string{"", "tini -- ", "env -u A B=1 nice -n 5 ", "timeout -k 5 600 ddtrace-run "} {
						argv := strings.Fields(launchers + command)
						if got, _ := engine.Match(argv); got == nil || got.Name != e.Name {
							t.Errorf("%q is taken for %+v, want %s", argv, got, e.Name)
						}
						inShell := []string{"bash", "-c", "set -e; " + strings.Join(argv, " ")}
						for _, command := range [][]string{argv, inShell} {
							pod := &endpoint.Pod{Spec: endpoint.PodSpec{Containers: []endpoint.Container{{Name: "main", Command: command}}}}
							l := endpoint.Identify(pod, endpoint.Options{Declared: endpoint.Declared{Container: "main"}}).Command
							if l.Engine != e.Called() || string(l.Role) != e.Role {
								t.Errorf("%q is %q, %q at admission, want %q, %q", command, l.Engine, l.Role, e.Called(), e.Role)
							}
						}
					}
				})
			}
		}
		for _, part := range e.Images {
			if got := engine.OfImage("registry" + "/" + strings.Trim(part, "/") + "/x"); got != e.Called() {
				t.Errorf("an image of %s is taken for %q, want %q", part, got, e.Called())
			}
		}
		for _, text := range e.Hints {
			if got, _ := engine.Hinted("run " + text + " x"); got != e.Called() || !engine.Mentioned(text) && got != engine.NIM {
				t.Errorf("%q speaks of %q, want %q", text, got, e.Called())
			}
		}
	}
}
