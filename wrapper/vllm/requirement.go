// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"runtime"
	"slices"
	"strings"
)

// requirement is what a distribution asks of another one: name[extra] >=1.2,<2 ; marker (PEP 508).
type requirement struct {
	name      string // normalised
	extras    []string
	versions  string
	condition string
}

// normalise makes one name of all spellings of a distribution's (PEP 503).
func normalise(name string) string {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	return strings.Join(parts, "-")
}

func parseRequirement(text string) requirement {
	var r requirement
	text, r.condition, _ = strings.Cut(text, ";")
	text, _, _ = strings.Cut(text, "@") // a URL: any version will do
	end := strings.IndexAny(text, " [(=<>!~")
	if end < 0 {
		end = len(text)
	}
	r.name, text = normalise(strings.TrimSpace(text[:end])), strings.TrimSpace(text[end:])
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok {
		for extra := range strings.SplitSeq(inner, ",") {
			r.extras = append(r.extras, normalise(extra))
		}
		text = rest
	}
	r.versions = strings.Trim(strings.TrimSpace(text), "()")
	return r
}

// applies tells whether a requirement counts for an interpreter, python3.12, and some extras. What cannot be read counts.
func (r requirement) applies(python string, extras []string) bool {
	if strings.TrimSpace(r.condition) == "" {
		return true
	}
	for _, extra := range append([]string{""}, extras...) {
		m := marker{words: markerWords(r.condition), python: strings.TrimPrefix(python, "python"), extra: extra}
		if holds := m.or(); holds || m.lost || len(m.words) > 0 {
			return true
		}
	}
	return false
}

// marker evaluates an environment marker: python_version < "3.10" and (extra == 'test' or sys_platform != "win32").
type marker struct {
	words  []string
	python string // 3.12
	extra  string
	lost   bool // something in it is not known
}

// markerWords splits an expression; a quoted string keeps its opening quote.
func markerWords(s string) (out []string) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		end := 1
		switch {
		case s[0] == '"' || s[0] == '\'':
			if end = strings.IndexByte(s[1:], s[0]) + 1; end == 0 {
				return append(out, "?")
			}
			out, s = append(out, s[:end]), s[end+1:]
			continue
		case strings.IndexByte("=<>!~", s[0]) >= 0:
			end = len(s) - len(strings.TrimLeft(s, "=<>!~"))
		case strings.IndexByte("()", s[0]) < 0:
			if end = strings.IndexAny(s, " \t()=<>!~'\""); end < 0 {
				end = len(s)
			}
		}
		out, s = append(out, s[:end]), s[end:]
	}
	return out
}

func (m *marker) next() string {
	if len(m.words) == 0 {
		m.lost = true
		return ""
	}
	w := m.words[0]
	m.words = m.words[1:]
	return w
}

func (m *marker) take(word string) bool {
	if len(m.words) == 0 || m.words[0] != word {
		return false
	}
	m.words = m.words[1:]
	return true
}

func (m *marker) or() bool {
	holds := m.and()
	for m.take("or") {
		other := m.and()
		holds = holds || other
	}
	return holds
}

func (m *marker) and() bool {
	holds := m.term()
	for m.take("and") {
		other := m.term()
		holds = holds && other
	}
	return holds
}

func (m *marker) term() bool {
	if m.take("(") {
		holds := m.or()
		m.lost = m.lost || !m.take(")")
		return holds
	}
	left, op := m.next(), m.next()
	if op == "not" {
		op += " " + m.next()
	}
	right := m.next()
	if m.lost {
		return true
	}
	a, b := m.value(left), m.value(right)
	if left == "extra" || right == "extra" {
		a, b = normalise(a), normalise(b)
	}
	switch op {
	case "in":
		return strings.Contains(b, a)
	case "not in":
		return !strings.Contains(b, a)
	}
	if strings.HasPrefix(left, "python_") {
		v, ok := parseVersion(a)
		return ok && v.meets(op+b)
	}
	switch op {
	case "==":
		return a == b
	case "!=":
		return a != b
	}
	m.lost = true
	return true
}

var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// value is a string's text or a variable's value. Of an interpreter only its minor version is known here.
func (m *marker) value(word string) string {
	switch word {
	case "python_version":
		return m.python
	case "sys_platform":
		return "linux"
	case "platform_system":
		return "Linux"
	case "os_name":
		return "posix"
	case "platform_machine":
		return machines[runtime.GOARCH]
	case "implementation_name":
		return "cpython"
	case "platform_python_implementation":
		return "CPython"
	case "extra":
		return m.extra
	}
	if slices.Contains([]byte(`"'`), word[0]) {
		return word[1:]
	}
	m.lost = true
	return ""
}
