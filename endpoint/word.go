// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

// word is a word's text where it does not depend on anything but the container's literal variables.
func (w *walker) word(word *syntax.Word) Word {
	out := Word{end: int(word.End().Offset())}
	out.ours = w.text[word.Pos().Offset():out.end] == startup.VLLMExecPlaceholder
	text, known := plain(word.Parts, false)
	if known {
		out.Text, out.Known = text, true
		return out
	}
	out.prefix = text
	out.list, out.split = listOf(word.Parts)
	if guess, ok := w.guess(word.Parts); ok {
		out.guess = guess
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

// plain is the text of a word that stands for itself; not ok: what it begins with.
func plain(parts []syntax.WordPart, quoted bool) (text string, ok bool) {
	for _, part := range parts {
		of, ok := "", false
		switch part := part.(type) {
		case *syntax.Lit:
			of, ok = literal(part.Value, quoted)
		case *syntax.SglQuoted:
			if !part.Dollar || !strings.Contains(part.Value, `\`) {
				of, ok = part.Value, true
			}
		case *syntax.DblQuoted:
			if !part.Dollar {
				of, ok = plain(part.Parts, true)
			}
		}
		if text += of; !ok {
			return text, false
		}
	}
	return text, true
}

// literal removes the backslashes of a literal. Unquoted, what could be a pattern, a brace expansion or a tilde is not
// known.
func literal(s string, quoted bool) (text string, ok bool) {
	from := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			if quoted && !strings.ContainsRune("\n$`\"\\", rune(s[i])) {
				continue // "\d" is what it is
			}
			text += s[from : i-1]
			if from = i; s[i] == '\n' {
				from++
			}
		case !quoted && (c == '*' || c == '?' || c == '[' || c == '{' && strings.ContainsAny(s[i:], ",.") || c == '~' && i == 0):
			return text + s[from:i], false
		}
	}
	return text + s[from:], true
}

// guess is a word's text if its variables are what the string itself or the container's env says. A shell may have
// changed them since, or it may be a branch that is not taken: good enough for a name, not for a decision.
func (w *walker) guess(parts []syntax.WordPart) (text string, ok bool) {
	for _, part := range parts {
		var of string
		switch part := part.(type) {
		case *syntax.ParamExp:
			of, ok = w.variable(part)
			ok = ok && len(text)+len(of) <= maxText
		case *syntax.DblQuoted:
			of, ok = w.guess(part.Parts)
		default:
			of, ok = plain([]syntax.WordPart{part}, false)
		}
		if text += of; !ok {
			return "", false
		}
	}
	return text, true
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
		value = w.container.Literal(p.Param.Value)
	}
	if p.Exp != nil {
		if p.Exp.Op != syntax.DefaultUnsetOrNull && p.Exp.Op != syntax.DefaultUnset {
			return "", false
		}
		if value == "" && p.Exp.Word != nil {
			value, _ = w.guess(p.Exp.Word.Parts)
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
	value, ok := w.guess(a.Value.Parts)
	if a.Append {
		value = w.vars[a.Name.Value] + value
	}
	if !ok || len(value) > maxText {
		delete(w.vars, a.Name.Value)
		return
	}
	w.vars[a.Name.Value] = value
}

func (w *walker) assignList(a *syntax.Assign) {
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
	program := engine.Base(words[0].Text)
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
		text := cmp.Or(words[i].Text, words[i].guess)
		if text == "" {
			text = strings.Trim(w.text[node.Pos().Offset():node.End().Offset()], `"'`) // a pattern, as in s3://b/m/*
		}
		if _, rest, ok := strings.Cut(text, "://"); ok && strings.Contains(rest, "/") && !strings.ContainsAny(rest, "$`") {
			w.source = text
			return
		}
	}
}
