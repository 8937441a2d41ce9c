// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

// invocation is a shell's command line.
type invocation struct {
	language engine.Language
	script   int     // index of the string after -c; -1: it runs a file
	problem  Problem // with anything in front of the commands in it
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

// finding is what a shell string starts.
type finding struct {
	engine  string
	role    startup.Role
	args    []Word
	offset  int    // in the original string
	front   int    // likewise, where the command itself begins
	program string // its first word
	source  string // what a download in the same string fetches
	problem Problem
	within  string // the function it is in
}

var parsers = sync.Pool{New: func() any { return syntax.NewParser() }}

func parse(text string, language engine.Language) (*syntax.File, error) {
	p := parsers.Get().(*syntax.Parser)
	defer parsers.Put(p)
	variant := syntax.LangBash
	if language != engine.Bash {
		variant = syntax.LangPOSIX
	}
	syntax.Variant(variant)(p)
	file, err := p.Parse(strings.NewReader(text), "")
	if err != nil && language == engine.POSIXOrBash {
		syntax.Variant(syntax.LangBash)(p)
		file, err = p.Parse(strings.NewReader(text), "")
	}
	return file, err
}

// scan finds the engine in a shell string that is given params, $0 first. A string without any engine's words is not parsed.
func scan(text string, language engine.Language, c *Container, params []Word) finding {
	if !engine.Mentioned(text) && !refersToEngine(text, c, params) {
		return finding{problem: NoEngine}
	}
	x := expand(text, c)
	file, err := parse(x.text, language)
	if err != nil {
		return finding{problem: ShellSyntax}
	}
	w := walker{text: x.text, container: c, stack: make([]syntax.Node, 0, 16)}
	w.given(params)
	syntax.Walk(file, w.visit)
	f := w.finding()
	if f.problem != NoProblem {
		return f
	}
	for _, u := range x.unknowns {
		if u <= f.offset {
			f.problem = KubeletExpansion
			return f
		}
	}
	f.offset, f.front = x.source(f.offset), x.source(f.front+1)-1
	switch {
	case f.offset < 0 || f.front < 0:
		f.problem = KubeletExpansion
	case strings.Contains(text, startup.VLLMExecPlaceholder):
		f.problem = PlaceholderPresent
	}
	return f
}

// refersToEngine tells if a string without any engine's words may get them from its parameters or variables.
func refersToEngine(text string, c *Container, params []Word) bool {
	if strings.IndexByte(text, '$') < 0 {
		return false
	}
	return slices.ContainsFunc(params, func(w Word) bool { return engine.Mentioned(w.Text) }) ||
		slices.ContainsFunc(c.Env, func(e EnvVar) bool { return strings.Contains(text, e.Name) && engine.Mentioned(e.Value) })
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
	problem   Problem         // with anything in front of its commands
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
			w.name(node.Name.Value)
		}
	}
	w.stack = append(w.stack, node)
	return true
}

func (w *walker) given(params []Word) {
	if len(params) > 0 {
		w.zero, w.params = params[0], params[1:]
	}
}

func (w *walker) name(name string) {
	if w.named == nil {
		w.named = map[string]bool{}
	}
	w.named[name] = true
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
	if len(words) == 0 {
		return
	}
	switch name := words[0].Text; {
	case name == "set" && optionsProblem(words[1:]) != NoProblem:
		w.problem = optionsProblem(words[1:])
		return
	case name == "alias":
		for _, word := range words[1:] {
			alias, _, _ := strings.Cut(word.start(), "=")
			w.name(alias)
		}
		return
	case name == "set" && len(words) > 1 && words[1].Text == "--":
		w.params = w.spread(words[2:], w.params)
		return
	case name == "shift" && len(w.params) > 0:
		w.params = w.params[1:]
		return
	case name != "":
		w.called(name, words[1:])
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
	s := match(words, texts, at)
	if s == nil {
		w.download(rest, nodes[at:])
		w.guessCall(words)
		return
	}
	f := s.finding(w.context())
	f.offset, f.front, f.program = words[s.token].end, int(nodes[at].Pos().Offset()), rest[0].Text
	if f.problem == NoProblem && f.engine == engine.VLLM && hidden(texts[:at], f.program) {
		f.problem = DynamicCommand
	}
	w.add(f)
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
	if s := start(guessed(w.spread(words, w.params))); s != nil {
		w.add(s.finding(DynamicCommand))
	}
}

func (s *started) finding(p Problem) finding {
	return finding{engine: s.engine.Called(), role: s.role, args: s.args, problem: p}
}

func (w *walker) add(f finding) {
	params := w.params
	if f.within = w.function(); f.within != "" {
		params = []Word{{list: "@"}} // those of its calls, which follow
	}
	f.args = w.spread(f.args, params)
	if f.role == startup.RoleWorker {
		w.workers = append(w.workers, f)
		return
	}
	w.found = append(w.found, f)
}

// called gives a function's server the arguments of a call.
func (w *walker) called(function string, args []Word) {
	for i := range w.found {
		if w.found[i].within == function {
			w.found[i].args = w.spread(w.found[i].args, w.spread(args, w.params))
		}
	}
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
func (w *walker) nested(words []Word, language engine.Language, problem Problem, params []Word) {
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
	inner := walker{text: text, container: w.container, depth: w.depth + 1, vars: w.vars}
	inner.given(params)
	syntax.Walk(file, inner.visit)
	if f := inner.finding(); f.engine != "" {
		f.problem = problem
		w.add(f)
	}
}

// context is why the command being visited must not be edited.
func (w *walker) context() Problem {
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

// finding sums up, with what was downloaded.
func (w *walker) finding() finding {
	f := w.sum()
	f.source = w.source
	switch {
	case f.problem != NoProblem:
	case w.problem != NoProblem:
		f.problem = w.problem
	case shows(w.text):
		f.problem = Xtrace
	case w.named[f.program], strings.Contains(w.text, "%"+f.program): // a job's name, as in kill %vllm
		f.problem = DynamicCommand
	}
	return f
}

// sum decides: one server is a server; two are ambiguous; a worker's join counts if there is no server.
func (w *walker) sum() finding {
	switch {
	case len(w.found) == 1:
		return w.found[0]
	case len(w.found) > 1:
		f := w.found[0]
		for _, other := range w.found[1:] {
			if other.engine != f.engine {
				f.engine = ""
			}
		}
		f.problem, f.args = TwoServers, nil
		return f
	case len(w.workers) > 0:
		return w.workers[0]
	}
	return finding{problem: NoEngine}
}
