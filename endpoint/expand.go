// SPDX-License-Identifier: Apache-2.0

package endpoint

import "strings"

// expanded is a string as the kubelet hands it to the container, and where each verbatim part of it came from.
type expanded struct {
	text     string
	parts    []part
	unknowns []int // offsets in text where a value stands that admission cannot see
}

// part is a run of bytes that the kubelet copies: text[to:to+n] is source[from:from+n].
type part struct{ from, to, n int }

func (x *expanded) unknown() bool { return len(x.unknowns) > 0 }

// source is the offset in the original of the end of a verbatim byte, -1 if that byte came out of an expansion.
func (x *expanded) source(end int) int {
	for _, p := range x.parts {
		if end > p.to && end <= p.to+p.n {
			return p.from + end - p.to
		}
	}
	return -1
}

// expand does what the kubelet does to command and args: $$ becomes $, $(NAME) becomes the value of a variable it knows,
// anything else stays. The rules are those of k8s.io/kubernetes/third_party/forked/golang/expansion.
func expand(s string, c *Container) expanded {
	if !strings.Contains(s, "$$") && !strings.Contains(s, "$(") {
		return expanded{text: s, parts: []part{{0, 0, len(s)}}}
	}
	var (
		x    expanded
		b    strings.Builder
		take = func(from, to int) {
			if to > from {
				x.parts = append(x.parts, part{from, b.Len(), to - from})
				b.WriteString(s[from:to])
			}
		}
		start = 0
	)
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '$' {
			continue
		}
		switch s[i+1] {
		case '$':
			take(start, i+1)
			i++
			start = i + 1
		case '(':
			end := strings.IndexByte(s[i+2:], ')')
			if end < 0 {
				i++ // the kubelet writes "$(" and goes on after it
				continue
			}
			value, known, set := variableOf(c, s[i+2:i+2+end])
			if set {
				take(start, i)
				if !known {
					x.unknowns = append(x.unknowns, b.Len())
					value = "x"
				}
				b.WriteString(value)
				start = i + 2 + end + 1
			}
			i += 2 + end
		default:
			i++
		}
	}
	take(start, len(s))
	x.text = b.String()
	return x
}

// variableOf is a variable that the kubelet can expand: whether it is set, and whether its value is known here.
// The names in an envFrom and those of services cannot be seen; they are taken to be upper case, as no command is.
func variableOf(c *Container, name string) (value string, known, set bool) {
	if e := c.variable(name); e != nil {
		return e.Value, e.ValueFrom == nil && !strings.Contains(e.Value, "$"), true
	}
	upper := name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
	return "", false, upper && (len(c.EnvFrom) > 0 || strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT"))
}
