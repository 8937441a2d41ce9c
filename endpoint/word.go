// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/coldtrace/coldtrace/startup"
)

// word is a word's text where it does not depend on anything but the container's literal variables.
func (w *walker) word(word *syntax.Word) Word {
	out := Word{end: int(word.End().Offset())}
	out.ours = w.text[word.Pos().Offset():out.end] == startup.VLLMArgsPlaceholder
	var b strings.Builder
	out.Known = w.parts(&b, word.Parts, false)
	if out.Known {
		out.Text = b.String()
	} else {
		b.Reset()
		if w.guess(&b, word.Parts) {
			out.guess = b.String()
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
			if !ok {
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

// assign remembers a variable that the string sets to something known.
func (w *walker) assign(a *syntax.Assign) {
	if a.Name == nil || a.Value == nil || a.Append || a.Index != nil {
		return
	}
	var b strings.Builder
	if !w.guess(&b, a.Value.Parts) {
		delete(w.vars, a.Name.Value)
		return
	}
	if w.vars == nil {
		w.vars = map[string]string{}
	}
	w.vars[a.Name.Value] = b.String()
}

// downloaders are programs that fetch a model.
var downloaders = map[string]bool{"s5cmd": true, "azcopy": true, "gcloud": true, "gsutil": true, "aws": true, "rclone": true}

// download remembers what a downloader fetches: the first address among its words.
func (w *walker) download(words []Word, nodes []*syntax.Word) {
	if !downloaders[base(words[0].Text)] {
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
