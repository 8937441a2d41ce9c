// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/coldtrace/coldtrace/startup"
)

// word is a word's text where it does not depend on anything but the container's literal variables.
func (w *walker) word(word *syntax.Word) Word {
	out := Word{end: int(word.End().Offset())}
	out.ours = w.text[word.Pos().Offset():out.end] == startup.VLLMExecPlaceholder
	var b strings.Builder
	if out.Known = w.parts(&b, word.Parts, false); out.Known {
		out.Text = b.String()
		return out
	}
	out.prefix = b.String()
	out.list, out.split = listOf(word.Parts)
	b.Reset()
	if w.guess(&b, word.Parts) {
		out.guess = b.String()
	}
	return out
}

// listOf is the list that a word stands for as a whole: @ for "$@", NAME for "${NAME[@]}". split: an unquoted variable,
// which the shell splits.
func listOf(parts []syntax.WordPart) (name string, split bool) {
	if len(parts) != 1 {
		return "", false
	}
	quoted := false
	part := parts[0]
	if q, ok := part.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
		part, quoted = q.Parts[0], true
	}
	p, ok := part.(*syntax.ParamExp)
	if !ok || p.Param == nil || p.Excl || p.Length || p.Slice != nil || p.Repl != nil || p.Exp != nil {
		return "", false
	}
	if p.Param.Value == "@" || p.Param.Value == "*" && !quoted {
		return "@", false
	}
	if index, ok := p.Index.(*syntax.Word); ok && (index.Lit() == "@" || index.Lit() == "*" && !quoted) {
		return p.Param.Value, false
	}
	return "", !quoted && p.Index == nil
}

// What a script can make of its variables has no bound; what is remembered of it has.
const (
	maxText  = 4096 // bytes of a guess
	maxWords = 512  // of a list
)

// spread puts in the place of a list's or a variable's word the words that it stands for, where they are known.
func (w *walker) spread(words, params []Word) []Word {
	if !slices.ContainsFunc(words, func(x Word) bool { return x.list != "" || x.split }) {
		return words
	}
	out := make([]Word, 0, len(words)+len(params))
	for _, x := range words {
		if len(out) > maxWords {
			break
		}
		switch {
		case x.list == "@":
			out = append(out, params...)
		case x.list != "":
			out = append(out, w.lists[x.list]...)
		case x.split && x.guess != "":
			for field := range strings.FieldsSeq(x.guess) {
				out = append(out, Word{guess: field})
			}
		default:
			out = append(out, x)
		}
	}
	return out[:min(len(out), maxWords)]
}

// guessed are words with each guess taken for the truth.
func guessed(words []Word) []Word {
	out := slices.Clone(words)
	for i := range out {
		if !out[i].Known && out[i].guess != "" {
			out[i].Text, out[i].Known = out[i].guess, true
		}
	}
	return out
}

func (w *walker) parts(b *strings.Builder, parts []syntax.WordPart, quoted bool) bool {
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			if !literal(b, part.Value, quoted) {
				return false
			}
		case *syntax.SglQuoted:
			if part.Dollar && strings.Contains(part.Value, `\`) {
				return false
			}
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			if part.Dollar || !w.parts(b, part.Parts, true) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// literal removes the backslashes of a literal. Unquoted, what could be a pattern, a brace expansion or a tilde is not
// known.
func literal(b *strings.Builder, s string, quoted bool) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			if s[i] == '\n' {
				continue
			}
			if quoted && !strings.ContainsRune("$`\"\\", rune(s[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
		case !quoted && (c == '*' || c == '?' || c == '[' || c == '{' && strings.ContainsAny(s[i:], ",.") || c == '~' && i == 0):
			return false
		default:
			b.WriteByte(c)
		}
	}
	return true
}

// guess is a word's text if its variables are what the string itself or the container's env says. A shell may have
// changed them since, or it may be a branch that is not taken: good enough for a name, not for a decision.
func (w *walker) guess(b *strings.Builder, parts []syntax.WordPart) bool {
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.ParamExp:
			value, ok := w.variable(part)
			if !ok || b.Len()+len(value) > maxText {
				return false
			}
			b.WriteString(value)
		case *syntax.DblQuoted:
			if !w.guess(b, part.Parts) {
				return false
			}
		default:
			if !w.parts(b, []syntax.WordPart{part}, false) {
				return false
			}
		}
	}
	return true
}

// variable is the value of $NAME, ${NAME} or ${NAME:-default}.
func (w *walker) variable(p *syntax.ParamExp) (string, bool) {
	if p.Param == nil || p.Excl || p.Length || p.Width || p.Index != nil || p.Slice != nil || p.Repl != nil {
		return "", false
	}
	value, ok := w.vars[p.Param.Value]
	if n, err := strconv.Atoi(p.Param.Value); err == nil {
		value, ok = w.param(n), true
	}
	if !ok {
		value = literalEnv(w.container, p.Param.Value)
	}
	if p.Exp != nil {
		if p.Exp.Op != syntax.DefaultUnsetOrNull && p.Exp.Op != syntax.DefaultUnset {
			return "", false
		}
		if value == "" && p.Exp.Word != nil {
			var b strings.Builder
			if !w.guess(&b, p.Exp.Word.Parts) {
				return "", false
			}
			value = b.String()
		}
	}
	return value, value != ""
}

// param is the value of $0, $1 and so on.
func (w *walker) param(n int) string {
	switch {
	case n == 0:
		return w.zero.value()
	case n <= len(w.params):
		return w.params[n-1].value()
	}
	return ""
}

// assign remembers a variable that the string sets to something known.
func (w *walker) assign(a *syntax.Assign) {
	if a.Array != nil && a.Name != nil {
		w.assignList(a)
	}
	if a.Name == nil || a.Value == nil || a.Index != nil {
		return
	}
	var b strings.Builder
	if a.Append {
		b.WriteString(w.vars[a.Name.Value])
	}
	if !w.guess(&b, a.Value.Parts) {
		delete(w.vars, a.Name.Value)
		return
	}
	if w.vars == nil {
		w.vars = map[string]string{}
	}
	w.vars[a.Name.Value] = b.String()
}

func (w *walker) assignList(a *syntax.Assign) {
	if w.lists == nil {
		w.lists = map[string][]Word{}
	}
	if !a.Append {
		delete(w.lists, a.Name.Value)
	}
	for _, e := range a.Array.Elems {
		if e.Value != nil {
			w.lists[a.Name.Value] = append(w.lists[a.Name.Value], w.spread([]Word{w.word(e.Value)}, w.params)...)
		}
		if len(w.lists[a.Name.Value]) > maxWords {
			return
		}
	}
}

// downloaders are programs that fetch a model.
var downloaders = map[string]bool{"s5cmd": true, "azcopy": true, "gcloud": true, "gsutil": true, "aws": true, "rclone": true, "s3cmd": true}

// download remembers what a downloader fetches: the first address among its words.
func (w *walker) download(words []Word, nodes []*syntax.Word) {
	program := base(words[0].Text)
	if (program == "hf" || program == "huggingface-cli") && len(words) > 2 && words[1].Text == "download" {
		if name := words[2].value(); name != "" && name[0] != '-' {
			w.source = hub + name
		}
		return
	}
	if !downloaders[program] {
		return
	}
	for i, node := range nodes {
		text := first(words[i].Text, words[i].guess)
		if text == "" {
			text = strings.Trim(w.text[node.Pos().Offset():node.End().Offset()], `"'`) // a pattern, as in s3://b/m/*
		}
		if _, rest, ok := strings.Cut(text, "://"); ok && strings.Contains(rest, "/") && !strings.ContainsAny(rest, "$`") {
			w.source = text
			return
		}
	}
}
