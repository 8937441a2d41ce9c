// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"os"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/engine/server"
	"github.com/coldtrace/coldtrace/startup"
)

// What vLLM's own sources say, by version and server: see testdata/parsers.py.
func TestTheFlagIsGivenOnlyToParsersThatKnowIt(t *testing.T) {
	text, err := os.ReadFile("testdata/parsers.tsv")
	if err != nil {
		t.Fatal(err)
	}
	roots, given, asked := map[string]string{}, 0, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		version, name, knows := f[0], f[1], f[2] == "yes"
		if roots[version] == "" {
			roots[version] = installed(t, healthy(version))
		}
		argv := []string{"python", "-m", name, "--model", "m"}
		if name == "vllm serve" {
			argv = []string{"vllm", "serve", "m"}
		} else if _, ok := server.Modules[name]; !ok {
			t.Errorf("%s is not in the table of servers", name)
		}
		p := Prepare(argv, environmentOf(roots[version]), offer(startup.VLLMFlagAuto))
		v, ok := parseVersion(version)
		if !ok {
			t.Fatal(line)
		}
		// From 0.8.0 until 0.10.2 vLLM knows the flag, and goes back to its old engine for it.
		falls := !v.before(8) && !v.since(10, 2)
		if p.Flag != (knows && !falls) {
			t.Errorf("%s %s: flag %t, its parser knows it: %t", version, name, p.Flag, knows)
		}
		asked[version] = true
		if p.Flag {
			given++
		}
	}
	if len(asked) < 30 || given < 60 {
		t.Errorf("only %d versions, and %d servers with the flag", len(asked), given)
	}
}
