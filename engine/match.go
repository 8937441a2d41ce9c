// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Process is one shape of an engine's command line.
type Process struct {
	Module   string // python -m MODULE
	Script   string // python …/SCRIPT, or …/SCRIPT itself
	Command  string // …/COMMAND, with or without an interpreter before it
	Word     string // that must follow the command: a subcommand
	Argument string // a regexp that one of the arguments must match
}

// launchers start the rest of their arguments; their own options end at the first word that is not one. Values of
// options given as a separate word are listed, as they would be taken for the command.
var launchers = map[string][]string{
	"env":                      {"-u", "--unset", "-C", "--chdir", "-S"},
	"ddtrace-run":              nil,
	"opentelemetry-instrument": {"--traces_exporter", "--metrics_exporter", "--service_name"},
	"dumb-init":                {"-r", "--rewrite"},
	"tini":                     {"-p", "-e"},
	"nice":                     {"-n"},
	"ionice":                   {"-c", "-n"},
	"taskset":                  nil, // its mask is a word of its own, skipped below
	"numactl":                  {"-N", "-m", "-C", "-i", "-p"},
	"nohup":                    nil,
	"stdbuf":                   {"-i", "-o", "-e"},
	"time":                     nil,
	"timeout":                  {"-s", "-k"}, // and a duration
	"exec":                     nil,
	"setsid":                   nil,
	"nsys":                     nil,
	"uv":                       nil, // uv run
	"coldtrace-wrapper":        nil,
	"graphsignal-run":          nil,
	"catchsegv":                nil,
	"trtllm-llmapi-launch":     nil,
}

var (
	assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	python     = regexp.MustCompile(`^(python|pypy)[0-9.]*$`)
	skipped    = regexp.MustCompile(`^([0-9][0-9.a-fx,-]*[smhd]?|run|profile|--)$`) // timeout 5m, taskset 0xff, uv run
)

// Match names the engine that argv starts, nil if it is none that is known, and the arguments after its program or module.
// It sees through interpreters, paths, env and the launchers that replace themselves by their arguments. A shell is not an
// engine, whatever its script says: its children are asked in their turn.
func Match(argv []string) (*Engine, []string) {
	rest := strip(argv)
	if len(rest) == 0 {
		return nil, nil
	}
	module, script, args := program(rest)
	for _, particular := range [...]bool{true, false} { // vllm serve --grpc before vllm serve
		for i := range table {
			for _, p := range table[i].Processes {
				if particular == (p.Argument != "") && p.matches(module, script, args) {
					return &table[i], args
				}
			}
		}
	}
	return nil, nil
}

// strip removes what only starts the rest.
func strip(argv []string) []string {
	for len(argv) > 0 {
		valued, is := launchers[path.Base(argv[0])]
		switch {
		case assignment.MatchString(argv[0]):
			argv = argv[1:]
			continue
		case !is:
			return argv
		}
		argv = argv[1:]
		for len(argv) > 0 {
			word := argv[0]
			if strings.HasPrefix(word, "-") && word != "--" {
				if slices.Contains(valued, word) && len(argv) > 1 {
					argv = argv[1:]
				}
			} else if !skipped.MatchString(word) {
				break
			}
			argv = argv[1:]
		}
	}
	return nil
}

// program takes a command line apart: the module of python -m, or the program or script, and its arguments.
func program(argv []string) (module, script string, args []string) {
	if !python.MatchString(path.Base(argv[0])) {
		return "", path.Base(argv[0]), argv[1:]
	}
	for i := 1; i < len(argv); i++ {
		switch word := argv[i]; {
		case word == "-m":
			if i+1 < len(argv) {
				return argv[i+1], "", argv[i+2:]
			}
			return "", "", nil
		case strings.HasPrefix(word, "-m"):
			return word[2:], "", argv[i+1:]
		case word == "-c":
			return "", "", nil
		case word == "-X" || word == "-W":
			i++
		case strings.HasPrefix(word, "-") && strings.HasSuffix(word, "m") && !strings.HasPrefix(word, "--"): // -um
			if i+1 < len(argv) {
				return argv[i+1], "", argv[i+2:]
			}
			return "", "", nil
		case !strings.HasPrefix(word, "-"):
			// A launcher script run by its interpreter: python /usr/bin/ddtrace-run python -m …
			if inner := argv[i:]; launched(inner[0]) {
				if inner = strip(inner); len(inner) > 0 {
					return program(inner)
				}
				return "", "", nil
			}
			return "", path.Base(word), argv[i+1:]
		}
	}
	return "", "", nil
}

func launched(word string) bool {
	_, is := launchers[path.Base(word)]
	return is
}

func (p Process) matches(module, script string, args []string) bool {
	switch {
	case p.Module != "" && p.Module != module:
		return false
	case p.Script != "" && p.Script != script:
		return false
	case p.Command != "" && p.Command != script:
		return false
	}
	if p.Word != "" && !slices.Contains(args[:min(len(args), 4)], p.Word) {
		return false
	}
	return p.Argument == "" || slices.ContainsFunc(args, regexp.MustCompile(p.Argument).MatchString)
}
