// SPDX-License-Identifier: Apache-2.0

// Package vllm decides, in the process that is about to become vLLM's server, what tracing its installation can be asked
// for. It reads what lies on disk and starts nothing.
package vllm

import (
	"path"
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/engine/server"
	"github.com/coldtrace/coldtrace/engine/tracer"
	"github.com/coldtrace/coldtrace/startup"
)

// site is where a command line names vLLM's server.
type site struct {
	after       int         // the flag goes after this word
	interpreter string      // as written; empty: that of program
	program     string      // a script whose first line names the interpreter
	module      bool        // run by -m: the working directory comes first in the module path
	assigned    environment // by words before it, as env takes them
}

// find looks for the server in the words of a command, behind whatever launchers.
func find(words []string) (site, bool) {
	var assigned environment
	for i, w := range words {
		if engine.Elsewhere(w) || path.Base(w) == "env" && strings.HasPrefix(next(words, i+1), "-") {
			return site{}, false
		}
		if strings.IndexByte(w, '=') > 0 && w[0] != '-' {
			assigned = append(assigned, w)
		}
		if name, last := module(words, i); name != "" {
			if in := before(words[:i]); in != "" {
				sub, ok := server.Modules[name]
				if !ok {
					return site{}, false
				}
				return site{after: last, module: true, interpreter: in, assigned: assigned}.with(sub, words)
			}
		}
		sub, ok := script(w)
		if !ok {
			continue
		}
		s := site{after: i, program: w, assigned: assigned}
		if in := before(words[:i]); in != "" {
			s = site{after: i, interpreter: in, assigned: assigned}
		} else if sub == "" && strings.HasSuffix(w, ".py") && i > 0 {
			continue // an argument of something else
		}
		if s, ok := s.with(sub, words); ok {
			return s, true
		}
	}
	return site{}, false
}

// module is the name that an interpreter's option -m gives, alone, in a cluster or joined, and the index of its word.
func module(words []string, i int) (name string, last int) {
	switch w := words[i]; {
	case !strings.HasPrefix(w, "-"), strings.HasPrefix(w, "--"):
		return "", i
	case strings.HasPrefix(w, "-m") && len(w) > 2:
		return w[2:], i
	case strings.HasSuffix(w, "m"):
		return next(words, i+1), i + 1
	}
	return "", i
}

// with wants a subcommand, which the flag then follows.
func (s site) with(sub string, words []string) (site, bool) {
	if sub == "" {
		return s, true
	}
	s.after++
	return s, next(words, s.after) == sub
}

// script finds a file in the tables by the end of its path.
func script(word string) (sub string, ok bool) {
	is := func(tail string) bool {
		rest, found := strings.CutSuffix(word, tail)
		return found && (rest == "" || strings.HasSuffix(rest, "/"))
	}
	for program, sub := range server.Programs {
		if is(program) {
			return sub, true
		}
	}
	return "", is(server.APIServer) || slices.ContainsFunc(server.Scripts, is)
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

// flagged tells whether somebody has asked for request tracing already, in sight or in a variable.
func flagged(argv, env []string) bool {
	has := func(s string) bool {
		return strings.Contains(s, startup.VLLMTracesFlag) || strings.Contains(s, "otlp_traces_endpoint")
	}
	return slices.ContainsFunc(argv, has) || slices.ContainsFunc(env, has)
}

// visible tells whether all of vLLM's arguments are in sight: a file of arguments may ask for request tracing. And with one
// vLLM takes the word after serve for the model, so that the flag cannot stand there.
func visible(argv []string) bool {
	return !slices.ContainsFunc(argv, server.ReadsConfig)
}

// traced tells whether another tracer is there.
func traced(argv []string, e environment) bool {
	return tracer.InCommand(argv) || slices.ContainsFunc(e, func(v string) bool {
		name, value, _ := strings.Cut(v, "=")
		return tracer.Variable(name, value)
	})
}
