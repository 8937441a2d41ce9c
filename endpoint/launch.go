// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// Launch is how a container starts its engine, as far as its command tells.
type Launch struct {
	Known   bool // there is a command: the pod's, or one told for its image
	Wrapped bool // the wrapper is in front of it already
	Engine  string
	Role    startup.Role // empty unless the command tells
	Args    []Word       // what follows the engine's module or program
	// Shell is a shell that the command itself runs, as it is spelt there: proof that the image has it.
	Shell string
	Site  Site
	// Source is the address that the command downloads from, if it does.
	Source string
}

// Word is a word of a command. Text is empty unless it is known here.
type Word struct {
	Text  string
	Known bool
	guess string // what it probably is
	end   int    // in a shell string: the offset after the word
	ours  bool
}

// Site is where an argument for the engine goes: right after its module or program token, where nothing that precedes
// or follows can take it for its own.
type Site struct {
	Problem Problem
	Word    int // index in command followed by args
	Offset  int // in that word, if it is a shell string; -1: a word of its own after it
}

// Problem is why there is no Site.
type Problem string

// Problems. The flag is left out and the command stays as it is.
const (
	NoProblem           Problem = ""
	NoEngine            Problem = "engine-unknown"
	FlagPresent         Problem = "flag-present"
	PlaceholderPresent  Problem = "placeholder-present"
	ShellSyntax         Problem = "shell-syntax"
	TwoServers          Problem = "two-servers"
	NestedShell         Problem = "nested-shell"
	Eval                Problem = "eval"
	DynamicCommand      Problem = "dynamic-command"
	CommandSubstitution Problem = "command-substitution"
	HereDocument        Problem = "here-document"
	KubeletExpansion    Problem = "kubelet-expansion"
	ScriptUnknown       Problem = "script-unknown"
)

// launch reads a container's command. entrypoint and cmd are the image's, if they are known.
func launch(c *Container, entrypoint, cmd []string) Launch {
	argv := append(append(make([]string, 0, len(c.Command)+len(c.Args)), c.Command...), c.Args...)
	if len(c.Command) == 0 {
		if len(entrypoint)+len(cmd) == 0 {
			return Launch{Args: words(c.Args, c), Site: Site{Problem: NoEngine}}
		}
		argv = ImageCommand(c, entrypoint, cmd)
	}
	rest, ours := Unwrap(argv)
	l := launchOf(rest, c)
	l.Known, l.Wrapped = true, ours > 0
	l.Site.Word += ours
	if l.Site.Problem != PlaceholderPresent && mentionsFlag(c, argv) {
		l.Site.Problem = FlagPresent
	}
	return l
}

// ImageCommand is what runs in a container without a command: the image's ENTRYPOINT and the pod's args or the image's
// CMD. The image's words are not expanded by the kubelet today, so their $ are escaped.
func ImageCommand(c *Container, entrypoint, cmd []string) []string {
	argv := make([]string, 0, len(entrypoint)+len(cmd)+len(c.Args))
	for _, w := range entrypoint {
		argv = append(argv, escape(w))
	}
	if len(c.Args) > 0 {
		return append(argv, c.Args...)
	}
	for _, w := range cmd {
		argv = append(argv, escape(w))
	}
	return argv
}

func escape(s string) string { return strings.ReplaceAll(s, "$", "$$") }

func launchOf(argv []string, c *Container) Launch {
	all := words(argv, c)
	at, ok := skipLaunchers(all)
	if !ok || at >= len(all) {
		return hint(argv, Launch{Site: Site{Problem: DynamicCommand}})
	}
	if sh := shellOf(all[at:]); sh != nil {
		l := Launch{}
		if sh.proof && !strings.Contains(strings.Join(argv[:at], " "), "=") {
			l.Shell = argv[at]
		}
		if sh.script < 0 { // a script file
			if e, token := match(all[at:]); e != nil {
				l.Engine, l.Role, l.Args = e.engine, e.role, all[at+token+1:]
				l.Site = Site{Problem: ScriptUnknown}
				return l
			}
			return hint(argv, l)
		}
		text := argv[at+sh.script]
		found := scan(text, sh.variant, c)
		l.Engine, l.Role, l.Args, l.Source = found.engine, found.role, found.args, found.source
		l.Site = Site{Problem: found.problem, Word: at + sh.script, Offset: found.offset}
		return hint(argv, l)
	}
	if e, token := match(all[at:]); e != nil {
		return Launch{
			Engine: e.engine, Role: e.role, Args: all[at+token+1:],
			Site: Site{Word: at + token, Offset: -1},
		}
	}
	return hint(argv, Launch{Site: Site{Problem: NoEngine}})
}

// hint names the engine by words that only its commands have, where its own simple command was not found: it may be in
// a variable, an eval or a file. Good enough to observe, not to edit.
func hint(argv []string, l Launch) Launch {
	if l.Engine != "" {
		return l
	}
	for _, word := range argv {
		for _, h := range hints {
			if strings.Contains(word, h.text) {
				l.Engine = h.engine
				if l.Site.Problem == NoProblem || l.Site.Problem == NoEngine {
					l.Site.Problem = DynamicCommand
				}
				return l
			}
		}
	}
	if l.Site.Problem == NoProblem {
		l.Site.Problem = NoEngine
	}
	return l
}

// words are argv as the kubelet hands it over, where that is known here.
func words(argv []string, c *Container) []Word {
	out := make([]Word, len(argv))
	for i, s := range argv {
		if strings.IndexByte(s, '$') < 0 {
			out[i] = Word{Text: s, Known: true}
			continue
		}
		if x := expand(s, c); !x.unknown() {
			out[i] = Word{Text: x.text, Known: true}
		}
	}
	return out
}

// mentionsFlag tells if the flag, in either spelling, is anywhere in the command or in a variable.
func mentionsFlag(c *Container, argv []string) bool {
	for _, s := range argv {
		if hasFlag(s) {
			return true
		}
	}
	for i := range c.Env {
		if hasFlag(c.Env[i].Value) {
			return true
		}
	}
	return false
}

func hasFlag(s string) bool {
	return strings.Contains(s, "otlp") &&
		(strings.Contains(s, startup.VLLMTracesFlag) || strings.Contains(s, "--otlp_traces_endpoint"))
}
