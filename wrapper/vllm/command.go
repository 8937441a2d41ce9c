// SPDX-License-Identifier: Apache-2.0

// Package vllm decides, in the container and before vLLM starts, what tracing its installation can be asked for. It
// reads what lies on disk and starts nothing.
package vllm

import (
	"path"
	"strings"
)

// Words of commands and environments, as in package startup, which is too heavy to import here; a test compares them.
const (
	Flag        = "--otlp-traces-endpoint"
	Args        = "COLDTRACE_VLLM_ARGS"
	Placeholder = `${COLDTRACE_VLLM_ARGS:+"$COLDTRACE_VLLM_ARGS"}`
)

// modules and scripts are vLLM's servers.
var (
	modules = map[string]bool{
		"vllm_server": true, "vllm_startup_wrapper": true,
		"vllm.entrypoints.openai.api_server": true, "vllm.entrypoints.api_server": true,
	}
	scripts = map[string]bool{"vllm_server.py": true, "vllm_startup_wrapper.py": true, "api_server.py": true}
)

// site is where a command line names vLLM's server.
type site struct {
	after       int    // the flag goes after this word
	interpreter string // as written; empty: that of program
	program     string // a script whose first line names the interpreter
	module      bool   // run by -m: the working directory comes first in the module path
}

// find looks for the server in the words of one simple command.
func find(words []string) (site, bool) {
	for i, w := range words {
		switch {
		case w == "-m" && i+1 < len(words) && (modules[words[i+1]] || words[i+1] == "vllm" && next(words, i+2) == "serve"):
			s := site{after: i + 1, module: true}
			if words[i+1] == "vllm" {
				s.after++
			}
			s.interpreter = before(words[:i])
			return s, s.interpreter != ""
		case path.Base(w) == "vllm" && next(words, i+1) == "serve":
			return site{after: i + 1, program: w}, true
		case scripts[path.Base(w)]:
			if in := before(words[:i]); in != "" {
				return site{after: i, interpreter: in}, true
			}
		}
	}
	return site{}, false
}

func next(words []string, i int) string {
	if i >= 0 && i < len(words) {
		return words[i]
	}
	return ""
}

// before is the Python interpreter whose options end here.
func before(words []string) string {
	for i := len(words) - 1; i >= 0; i-- {
		w := words[i]
		if strings.HasPrefix(path.Base(w), "python") && !strings.HasPrefix(w, "-") {
			return w
		}
		if !strings.HasPrefix(w, "-") && next(words, i-1) != "-X" && next(words, i-1) != "-W" {
			return ""
		}
	}
	return ""
}

// located is where in a command line the server is named.
type located struct {
	site
	argument int // the argument that is a shell string with the placeholder; -1: the arguments themselves
}

// locate finds the one place, if all that can matter is in sight. What a script does to its environment before the
// server starts cannot be seen: such scripts are left alone.
func locate(argv []string) (located, bool) {
	for i, arg := range argv {
		before, after, ok := strings.Cut(arg, Placeholder)
		if !ok {
			continue
		}
		if strings.Contains(after, Placeholder) || unpredictable(before) {
			return located{}, false
		}
		s, ok := find(lastCommand(before))
		return located{site: s, argument: i}, ok
	}
	s, ok := find(argv)
	return located{site: s, argument: -1}, ok
}

// unpredictable tells a script that may choose another interpreter or other packages.
func unpredictable(script string) bool {
	for _, sign := range []string{"activate", "PATH=", "PYTHONHOME", "PYTHONPATH", "pip install", "uv pip", "alias ", "cd "} {
		if strings.Contains(script, sign) {
			return true
		}
	}
	return false
}

// lastCommand is the last words of what stands before the placeholder, back to where their command begins. A word that is not plain is
// one that nothing is known of.
func lastCommand(before string) []string {
	if i := strings.LastIndexAny(before, ";&|\n(){}`"); i >= 0 {
		before = before[i+1:]
	}
	words := strings.Fields(before)
	for i, w := range words {
		if strings.ContainsAny(w, `"'$\*?[]<>~`) {
			words[i] = ""
		}
	}
	return words
}
