// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"mvdan.cc/sh/v3/syntax"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

// invocation is a shell's command line.
type invocation struct {
	language engine.Language
	script   int    // index of the string after -c; -1: it runs a file
	problem  Reason // with anything in front of the commands in it
}

// shellOf reads `bash -lc STRING`, `sh -euo pipefail -c STRING`, `bash -c -- STRING`, `bash FILE`; nil if it is not a
// shell or something in it is not known.
func shellOf(words []Word) *invocation {
	language := engine.Shell(engine.Base(words[0].Text))
	if language == "" {
		return nil
	}
	inv := &invocation{language: language, script: -1}
	command := false
	for i := 1; i < len(words); i++ {
		w := words[i]
		switch {
		case w.Text == "--" || w.Text == "-":
			if i+1 < len(words) && command {
				inv.script = i + 1
			}
			return inv
		case strings.HasPrefix(w.Text, "--"):
			switch w.Text {
			case "--rcfile", "--init-file":
				i++
			case "--restricted":
				inv.problem = Confined
			}
		case len(w.Text) > 1 && (w.Text[0] == '-' || w.Text[0] == '+'):
			command = command || strings.Contains(w.Text, "c") && w.Text[0] == '-'
			inv.problem = cmp.Or(inv.problem, optionsProblem(words[i:]))
			i += strings.Count(w.Text, "o") + strings.Count(w.Text, "O")
		default:
			if command {
				inv.script = i
			}
			return inv
		}
	}
	return inv
}

// finding is a simple command of a shell string.
type finding struct {
	Command
	program string // its first word
	within  string // the function it is in
}

func parse(text string, language engine.Language) (*syntax.File, error) {
	as := func(variant syntax.LangVariant) (*syntax.File, error) {
		return syntax.NewParser(syntax.Variant(variant)).Parse(strings.NewReader(text), "")
	}
	if language == engine.Bash {
		return as(syntax.LangBash)
	}
	file, err := as(syntax.LangPOSIX)
	if err != nil && language == engine.POSIXOrBash {
		file, err = as(syntax.LangBash)
	}
	return file, err
}

// scan finds the engine in a shell string that is given params, $0 first. A string without any engine's words is not parsed.
func scan(text string, language engine.Language, c *Container, params []Word) Command {
	if !engine.Mentioned(text) && !refersToEngine(text, c, params) {
		return Command{Site: Site{Problem: NoEngine}}
	}
	x := expand(text, c)
	file, err := parse(x.text, language)
	if err != nil {
		return Command{Site: Site{Problem: ShellSyntax}}
	}
	w := walker{text: x.text, container: c, vars: map[string]string{}}
	l := w.walk(file, params)
	site := &l.Site
	if site.Problem != NoProblem {
		return l
	}
	if slices.ContainsFunc(x.unknowns, func(u int) bool { return u <= site.Offset }) {
		site.Problem = KubeletExpansion
		return l
	}
	site.Offset, site.Front = x.source(site.Offset), x.source(site.Front+1)-1
	switch {
	case site.Offset < 0 || site.Front < 0:
		site.Problem = KubeletExpansion
	case strings.Contains(text, startup.VLLMExecPlaceholder):
		site.Problem = PlaceholderPresent
	}
	return l
}

// refersToEngine tells if a string without any engine's words may get them from its parameters or variables.
func refersToEngine(text string, c *Container, params []Word) bool {
	if strings.IndexByte(text, '$') < 0 {
		return false
	}
	return slices.ContainsFunc(params, func(w Word) bool { return engine.Mentioned(w.Text) }) ||
		slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return strings.Contains(text, e.Name) && engine.Mentioned(e.Value) })
}

// walker collects the simple commands of a shell string that start an engine.
type walker struct {
	text      string
	container *Container
	stack     []syntax.Node
	vars      map[string]string // assigned in the string itself, so far
	lists     map[string][]Word // arrays likewise
	zero      Word              // $0
	params    []Word            // $1 and on
	depth     int               // of shell strings in shell strings
	source    string            // of the last download
	found     []finding
	workers   []finding
	named     map[string]bool // functions and aliases
	problem   Reason          // with anything in front of its commands
}

// walk visits a string that is given params, $0 first.
func (w *walker) walk(file *syntax.File, params []Word) Command {
	w.lists, w.named = map[string][]Word{}, map[string]bool{}
	if len(params) > 0 {
		w.zero, w.params = params[0], params[1:]
	}
	syntax.Walk(file, w.visit)
	return w.sum()
}

func (w *walker) visit(node syntax.Node) bool {
	if node == nil {
		w.stack = w.stack[:len(w.stack)-1]
		return true
	}
	switch node := node.(type) {
	case *syntax.CallExpr:
		if len(node.Args) > 0 {
			w.call(node)
		}
	case *syntax.Assign:
		w.assign(node)
	case *syntax.FuncDecl:
		if node.Name != nil {
			w.named[node.Name.Value] = true
		}
	}
	w.stack = append(w.stack, node)
	return true
}

func (w *walker) call(call *syntax.CallExpr) {
	words, nodes := make([]Word, 0, len(call.Args)), call.Args
	for i, arg := range call.Args {
		if word := w.word(arg); !word.ours {
			words = append(words, word)
		} else {
			nodes = slices.Delete(slices.Clone(call.Args), i, i+1)
		}
	}
	if len(words) == 0 || w.builtin(words[0].Text, words[1:]) {
		return
	}
	texts := textsOf(words)
	at, ok := engine.Behind(texts)
	if !ok || at >= len(words) {
		at, ok = len(words), false
	}
	if confines(texts, at) {
		w.problem = Confined
	}
	if !ok {
		w.guessCall(words)
		return
	}
	rest := words[at:]
	if rest[0].Text == "eval" {
		w.nested(rest[1:], engine.Bash, Eval, nil)
		return
	}
	if sh := shellOf(rest); sh != nil && sh.script >= 0 {
		w.nested(rest[sh.script:sh.script+1], sh.language, NestedShell, rest[sh.script+1:])
		return
	}
	l := match(words, texts, at)
	if l.Engine == "" {
		w.download(rest, nodes[at:])
		w.guessCall(words)
		return
	}
	l.Site = Site{Problem: w.context(), Offset: words[l.Site.Word].end, Front: int(nodes[at].Pos().Offset())}
	if l.Site.Problem == NoProblem && l.Engine == engine.VLLM && hidden(texts[:at], rest[0].Text) {
		l.Site.Problem = DynamicCommand
	}
	w.add(l, rest[0].Text)
}

// builtin takes a command that changes the shell itself. Any other may call a function, whose server gets the arguments.
func (w *walker) builtin(name string, args []Word) bool {
	switch {
	case name == "set" && optionsProblem(args) != NoProblem:
		w.problem = optionsProblem(args)
	case name == "set" && len(args) > 0 && args[0].Text == "--":
		w.params = w.spread(args[1:], w.params)
	case name == "shift" && len(w.params) > 0:
		w.params = w.params[1:]
	case name == "alias":
		for _, word := range args {
			alias, _, _ := strings.Cut(word.start(), "=")
			w.named[alias] = true
		}
	default:
		for i := range w.found {
			if f := &w.found[i]; f.within == name && name != "" {
				f.Args = w.spread(f.Args, w.spread(args, w.params))
			}
		}
		return false
	}
	return true
}

// hidden tells if launchers look for the command where the wrapper would not, or give it another name: it cannot stand in
// front of it. (bash's exec makes a relative path absolute.)
func hidden(launchers []string, command string) bool {
	for i, l := range launchers {
		if engine.Elsewhere(l) || l == "exec" && (i+1 < len(launchers) || strings.HasPrefix(command, ".")) {
			return true
		}
	}
	return false
}

// guessCall is for a command that is in variables: probably known, but nothing to edit.
func (w *walker) guessCall(words []Word) {
	if !slices.ContainsFunc(words, func(x Word) bool { return x.guess != "" || x.list != "" }) {
		return
	}
	words = guessed(w.spread(words, w.params))
	texts := textsOf(words)
	at, ok := engine.Behind(texts)
	if !ok || at >= len(words) {
		return
	}
	if l := match(words, texts, at); l.Engine != "" {
		l.Site = Site{Problem: DynamicCommand}
		w.add(l, "")
	}
}

func (w *walker) add(l Command, program string) {
	f, params := finding{Command: l, program: program, within: w.function()}, w.params
	if f.within != "" {
		params = []Word{{list: "@"}} // those of its calls, which follow
	}
	f.Args = w.spread(f.Args, params)
	if f.Role == startup.RoleWorker {
		w.workers = append(w.workers, f)
		return
	}
	w.found = append(w.found, f)
}

// function is the name of the function being visited.
func (w *walker) function() string {
	for i := len(w.stack) - 1; i >= 0; i-- {
		if f, ok := w.stack[i].(*syntax.FuncDecl); ok && f.Name != nil {
			return f.Name.Value
		}
	}
	return ""
}

// nested looks into a string that another shell will read. What it finds can be named but not edited: its text is
// quoted here.
func (w *walker) nested(words []Word, language engine.Language, problem Reason, params []Word) {
	words = w.spread(words, w.params)
	texts := make([]string, len(words))
	for i, word := range words {
		if texts[i] = word.value(); texts[i] == "" {
			return
		}
	}
	text := strings.Join(texts, " ")
	if w.depth > 8 || !engine.Mentioned(text) {
		return
	}
	file, err := parse(text, language)
	if err != nil {
		return
	}
	inner := walker{text: text, container: w.container, depth: w.depth + 1, vars: maps.Clone(w.vars)}
	if l := inner.walk(file, params); l.Engine != "" {
		l.Site.Problem = problem
		w.add(l, "")
	}
}

// context is why the command being visited must not be edited.
func (w *walker) context() Reason {
	for _, n := range w.stack {
		switch n := n.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst:
			return CommandSubstitution
		case *syntax.Redirect:
			if n.Hdoc != nil {
				return HereDocument
			}
		case *syntax.CoprocClause:
			return DynamicCommand
		}
	}
	return NoProblem
}

// sum decides, with what was downloaded: one server is a server; two are ambiguous; a worker's join counts if there is no server.
func (w *walker) sum() Command {
	f := finding{Command: Command{Site: Site{Problem: NoEngine}}}
	switch {
	case len(w.found) > 0:
		f = w.found[0]
	case len(w.workers) > 0:
		f = w.workers[0]
	}
	f.Source = w.source
	if len(w.found) > 1 {
		f.Site.Problem, f.Args = TwoServers, nil
		if slices.ContainsFunc(w.found, func(other finding) bool { return other.Engine != f.Engine }) {
			f.Engine = ""
		}
	}
	switch {
	case f.Site.Problem != NoProblem:
	case w.problem != NoProblem:
		f.Site.Problem = w.problem
	case shows(w.text):
		f.Site.Problem = Xtrace
	case w.named[f.program], strings.Contains(w.text, "%"+f.program): // a job's name, as in kill %vllm
		f.Site.Problem = DynamicCommand
	}
	return f.Command
}
