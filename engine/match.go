// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"strings"
)

// Process is one shape of an engine's command line. It has a module, a script or a command.
type Process struct {
	Module  string   // python -m MODULE
	Script  string   // an interpreter or a shell and …/SCRIPT, or …/SCRIPT itself
	Command string   // …/COMMAND, with or without an interpreter before it
	Word    string   // a subcommand: the first argument that is no option
	Options []string // one of which must be among the arguments, alone or with a value
}

// shape is a process and whose it is.
type shape struct {
	engine  *Engine
	process *Process
}

// processes are all by module or base name. Those with particular options come first: vllm serve --grpc before vllm
// serve.
var processes = func() map[string][]shape {
	out := map[string][]shape{}
	for _, particular := range [...]bool{true, false} {
		for i := range table {
			for n := range table[i].Processes {
				p := &table[i].Processes[n]
				if name := p.Module + Base(p.Script) + p.Command; particular == (p.Options != nil) {
					out[name] = append(out[name], shape{&table[i], p})
				}
			}
		}
	}
	return out
}()

// Match names the engine that argv starts, nil if it is none that is known, and the arguments after its program, module or
// subcommand. It sees through launchers, interpreters and paths. A shell is not an engine, whatever its script says: its
// children are asked in their turn.
func Match(argv []string) (*Engine, []string) {
	at, ok := Behind(argv)
	if !ok {
		return nil, nil
	}
	e, token := Program(argv[at:])
	if e == nil {
		return nil, nil
	}
	return e, argv[at+token+1:]
}

// Program is Match for a command without launchers; token is the index of the program, module or subcommand. A word may be
// unknown.
func Program(argv []string) (e *Engine, token int) {
	if len(argv) == 0 || unknown(argv[0]) {
		return nil, 0
	}
	program := Base(argv[0])
	switch {
	case isPython(program):
		return pythons(argv)
	case Shell(program) != "" && len(argv) > 1 && !unknown(argv[1]): // it runs a script file
		return find("", argv, 1)
	}
	return find("", argv, 0)
}

// find looks up a module, or the program or script at an index.
func find(module string, argv []string, at int) (e *Engine, token int) {
	name := module
	if module == "" {
		name = Base(argv[at])
	}
	args := argv[at+1:]
	for _, s := range processes[name] {
		p := s.process
		switch {
		case (p.Module != "") != (module != ""):
			continue
		case p.Script != "" && argv[at] != p.Script && !strings.HasSuffix(argv[at], "/"+p.Script):
			continue
		case p.Options != nil && !slices.ContainsFunc(args, p.particular):
			continue
		case p.Word == "":
			return s.engine, at
		}
		sub := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
		if sub >= 0 && args[sub] == p.Word {
			return s.engine, at + 1 + sub
		}
	}
	return nil, 0
}

// particular tells one of the options, with a value or without.
func (p *Process) particular(arg string) bool {
	return slices.ContainsFunc(p.Options, func(o string) bool {
		rest, ok := strings.CutPrefix(arg, o)
		return ok && (rest == "" || rest == Unknown || rest[0] == '=')
	})
}

// pythons reads the interpreter's own options up to the module or the script.
func pythons(argv []string) (e *Engine, token int) {
	for i := 1; i < len(argv); i++ {
		word := argv[i]
		cluster := strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--")
		switch {
		case unknown(word):
			return nil, 0
		case word == "-X", word == "-W", word == "--check-hash-based-pycs":
			i++
		case word == "-", strings.HasPrefix(word, "-c"), cluster && strings.HasSuffix(word, "c"):
			return nil, 0
		case strings.HasPrefix(word, "-m") && len(word) > 2:
			return find(word[2:], argv, i)
		case cluster && strings.HasSuffix(word, "m"):
			if i+1 < len(argv) && !unknown(argv[i+1]) {
				return find(argv[i+1], argv, i+1)
			}
			return nil, 0
		case strings.HasPrefix(word, "-"):
		default: // python /usr/local/bin/vllm serve, python /usr/bin/ddtrace-run python -m …
			at, ok := Behind(argv[i:])
			if !ok || at == 0 || i+at >= len(argv) {
				return find("", argv, i)
			}
			e, token := Program(argv[i+at:])
			return e, i + at + token
		}
	}
	return nil, 0
}

// isPython tells an interpreter by its base name: python, python3.12, pypy3.
func isPython(program string) bool {
	rest, ok := strings.CutPrefix(program, "python")
	if !ok {
		rest, ok = strings.CutPrefix(program, "pypy")
	}
	return ok && strings.Trim(rest, "0123456789.") == ""
}

// Language is what a shell reads; empty: nothing that is known.
type Language string

// Languages. POSIXOrBash is sh's: on many images it is bash.
const (
	POSIX       Language = "posix"
	Bash        Language = "bash"
	POSIXOrBash Language = "posix or bash"
)

var shells = map[string]Language{"bash": Bash, "sh": POSIXOrBash, "dash": POSIX, "ash": POSIX}

// Shell is the language of a shell by its base name.
func Shell(program string) Language { return shells[program] }
