// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/engine/pid1"
	"github.com/coldtrace/coldtrace/engine/server"
	"github.com/coldtrace/coldtrace/startup"
)

// Command is what a container runs, as far as its words tell: which engine, and how that is started.
type Command struct {
	Known   bool // there is a command: the pod's, or one told for its image
	Wrapped bool // the wrapper is in front of it already
	Engine  string
	Role    startup.Role // empty unless the command tells
	Args    []Word       // what follows the engine's module or program
	// Shell is a shell that the command itself runs, as it is spelt there: proof that the image has it.
	Shell string
	Site  Site
	Init  bool // it works only as the first process of its container, see engine/pid1
	// Source is the address that the command downloads from, if it does.
	Source string
}

// Word is a word of a command. Text is empty unless it is known here.
type Word struct {
	Text   string
	Known  bool
	guess  string // what it probably is
	prefix string // what it begins with, if that much is known
	list   string // in a shell string: the list that it stands for
	split  bool   // in a shell string: an unquoted variable, which may be several words
	end    int    // in a shell string: the offset after the word
	ours   bool
}

func (w *Word) value() string { return cmp.Or(w.Text, w.guess) }

// start is what the word begins with: all of it if it is known.
func (w *Word) start() string { return cmp.Or(w.Text, w.guess, w.prefix) }

// Site is where an argument for the engine goes: right after its module or program token, where nothing that precedes
// or follows can take it for its own.
type Site struct {
	Problem Reason // why there is none; empty: there is one
	Word    int    // index in command followed by args
	Offset  int    // in that word, if it is a shell string; -1: a word of its own after it
	Front   int    // in a shell string: where the command itself begins, behind its launchers
}

// Reason is one word of docs/reasons.md: why something was done with a pod, or left.
type Reason string

// Reasons why there is no Site. The flag is left out and the command stays as it is.
const (
	NoProblem           Reason = ""
	NoEngine            Reason = "engine-unknown"
	FlagPresent         Reason = "flag-present"
	PlaceholderPresent  Reason = "placeholder-present"
	ShellSyntax         Reason = "shell-syntax"
	TwoServers          Reason = "two-servers"
	NestedShell         Reason = "nested-shell"
	Eval                Reason = "eval"
	DynamicCommand      Reason = "dynamic-command"
	CommandSubstitution Reason = "command-substitution"
	HereDocument        Reason = "here-document"
	KubeletExpansion    Reason = "kubelet-expansion"
	ScriptUnknown       Reason = "script-unknown"
	ConfigFile          Reason = "config-file"
	EntrypointUnknown   Reason = "entrypoint-unknown"
	Xtrace              Reason = "shell-xtrace"
	Confined            Reason = "shell-confined"
)

// commandOf reads a container's command. entrypoint and cmd are the image's, if they are known.
func commandOf(c *Container, entrypoint, cmd []string) Command {
	argv := append(append(make([]string, 0, len(c.Command)+len(c.Args)), c.Command...), c.Args...)
	if len(c.Command) == 0 {
		if len(entrypoint)+len(cmd) == 0 {
			return entrypointUnknown(c)
		}
		argv = ImageCommand(c, entrypoint, cmd)
	}
	rest, ours := Unwrap(argv)
	l := read(rest, c)
	l.Known, l.Wrapped, l.Init = true, ours > 0, pid1.Insists(rest)
	l.Site.Word += ours
	switch {
	case l.Site.Problem == PlaceholderPresent:
	case mentionsFlag(c, argv):
		l.Site.Problem = FlagPresent
	case l.Site.Problem == NoProblem && l.Engine == engine.VLLM && l.readsConfig(c, argv):
		l.Site.Problem = ConfigFile
	}
	return l
}

// entrypointUnknown reads what an image gets to run: images whose entrypoint runs its arguments get a whole command.
func entrypointUnknown(c *Container) Command {
	l := read(c.Args, c)
	if l.Engine == "" {
		l = Command{Args: words(c.Args, c)}
	}
	l.Shell = "" // the image may have one; the container's PATH is the entrypoint's to set
	l.Site = Site{Problem: EntrypointUnknown}
	if mentionsFlag(c, c.Args) {
		l.Site.Problem = FlagPresent
	}
	return l
}

// readsConfig tells if the server reads a file of arguments. That file may hold the flag, and vLLM, when it reads one, takes
// the word after serve for the model (vllm-project/vllm, FlexibleArgumentParser._pull_args_from_config).
func (l *Command) readsConfig(c *Container, argv []string) bool {
	hidden := false
	for i := range l.Args {
		w := &l.Args[i]
		if start := w.start(); strings.HasPrefix(start, "--") && server.ReadsConfig(start) {
			return true
		}
		hidden = hidden || !w.Known && w.guess == ""
	}
	return hidden && (slices.ContainsFunc(argv, server.ReadsConfig) ||
		slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return server.ReadsConfig(e.Value) }))
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

func read(argv []string, c *Container) Command {
	all := words(argv, c)
	texts := textsOf(all)
	at, ok := engine.Behind(texts)
	if !ok || at >= len(all) {
		return hint(argv, c, Command{Site: Site{Problem: DynamicCommand}})
	}
	var l Command
	sh := shellOf(all[at:])
	if sh != nil && sh.script >= 0 {
		script := at + sh.script
		l = scan(argv[script], sh.language, c, all[script+1:])
		l.Site.Word, l.Site.Problem = script, cmp.Or(l.Site.Problem, sh.problem)
		if l.Site.Problem == NoProblem && confines(texts, at) {
			l.Site.Problem = Confined
		}
	} else if l = match(all, texts, at); sh != nil && l.Engine != "" {
		l.Site = Site{Problem: ScriptUnknown}
	}
	if sh != nil && !slices.ContainsFunc(argv[:at], engine.Elsewhere) && !assigned(argv[:at]) {
		l.Shell = argv[at]
	}
	return hint(argv, c, l)
}

// assigned tells if launchers set variables, which may be the PATH by which they find the command.
func assigned(launchers []string) bool {
	return slices.ContainsFunc(launchers, engine.Assigns) && slices.ContainsFunc(launchers, func(w string) bool { return strings.Contains(w, "=") })
}

// hint names the engine where its own simple command was not found: behind a program that is not known, in a variable, an
// eval or a file. Good enough to observe, not to edit.
func hint(argv []string, c *Container, l Command) Command {
	if l.Engine == "" {
		if found := anywhere(argv, c); found.Engine != "" {
			l.Engine, l.Role, l.Args, l.Source = found.Engine, found.Role, found.Args, cmp.Or(l.Source, found.Source)
			if l.Site.Problem == NoProblem || l.Site.Problem == NoEngine {
				l.Site.Problem = DynamicCommand
			}
		}
	}
	if l.Engine == "" && l.Site.Problem == NoProblem {
		l.Site.Problem = NoEngine
	}
	return l
}

// anywhere looks for a command among the words of another, then in each word, then for words that only an engine's command
// has. Its Site is of no use: what is found stands in another command.
func anywhere(argv []string, c *Container) Command {
	joined := strings.Join(argv, " ")
	if !engine.Mentioned(joined) {
		return Command{}
	}
	all := words(argv, c)
	texts := textsOf(all)
	for i := 1; i < len(all); i++ {
		if l := match(all, texts, i); l.Engine != "" {
			return l
		}
	}
	for i, text := range argv {
		if strings.ContainsAny(text, " \t\n") {
			if l := scan(text, engine.POSIXOrBash, c, all[i+1:]); l.Engine != "" {
				return l
			}
		}
	}
	if name, rest := engine.Hinted(joined); name != "" {
		return Command{Engine: name, Args: looseWords(rest)}
	}
	return Command{}
}

// looseWords are probably the arguments that stand at the beginning of a text, to where a command may end.
func looseWords(text string) []Word {
	var out []Word
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		for field := range strings.FieldsSeq(line) {
			word := strings.Trim(field, `"'`)
			if end := strings.IndexAny(word, ";&|"); end >= 0 {
				return append(out, Word{guess: word[:end]})
			}
			out = append(out, Word{guess: word})
		}
		break
	}
	return out
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
		} else {
			out[i].prefix = x.text[:x.unknowns[0]]
		}
	}
	return out
}

// mentionsFlag tells if the flag, in either spelling, is anywhere in the command or in a variable.
func mentionsFlag(c *Container, argv []string) bool {
	return slices.ContainsFunc(argv, hasFlag) || slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return hasFlag(e.Value) })
}

func hasFlag(s string) bool {
	return strings.Contains(s, "otlp") &&
		(strings.Contains(s, startup.VLLMTracesFlag) || strings.Contains(s, "--otlp_traces_endpoint"))
}
