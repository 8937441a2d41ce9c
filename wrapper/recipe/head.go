// SPDX-License-Identifier: Apache-2.0

package recipe

import "bytes"

// head is what stands before a log line's message.
type head struct {
	rank    []byte // innermost process prefix, "" where there is none: tells ranks apart
	ray     bool   // forwarded by Ray, perhaps minutes late
	stamp   []byte // mm-dd HH:MM:SS of vLLM's own logger
	level   []byte // INFO, WARNING, …
	message []byte
}

// clean copies line to buf without ANSI escapes and carriage returns.
func clean(buf, line []byte) []byte {
	buf = buf[:0]
	for len(line) > 0 {
		esc := bytes.IndexByte(line, 0x1b)
		if esc < 0 {
			buf = append(buf, line...)
			break
		}
		buf = append(buf, line[:esc]...)
		line = line[esc+1:]
		if len(line) == 0 || line[0] != '[' {
			continue
		}
		end := 1
		for end < len(line) && (line[end] < 0x40 || line[end] > 0x7e) {
			end++
		}
		line = line[min(end+1, len(line)):]
	}
	return bytes.Trim(buf, "\r\n")
}

// parse takes a clean line apart.
func parse(line []byte) head {
	h := head{message: line}
	for rest := line; rest != nil; {
		h.message = bytes.TrimLeft(rest, " \t\r")
		rest = h.prefix()
	}
	h.logger()
	return h
}

// prefix takes one thing off that stands before a message, and returns what follows; nil if there is none.
func (h *head) prefix() []byte {
	m := h.message
	if len(m) == 0 {
		return nil
	}
	switch near := m[:min(len(m), 160)]; {
	case m[0] == '(':
		end := bytes.IndexByte(near, ')')
		if end < 0 || !bytes.Contains(m[:end], []byte("pid=")) {
			return nil
		}
		h.rank = m[1:end]
		h.ray = h.ray || bytes.HasPrefix(h.rank, []byte("Ray")) || bytes.HasPrefix(h.rank, []byte("pid="))
		return m[end+1:]
	case m[0] == '[':
		return h.bracket(near)
	case shaped(m, "0000-00-00T00:00:00"): // kubectl logs --timestamps, docker logs -t
		if end := bytes.IndexByte(near, ' '); end > 0 && end < len("2006-01-02T15:04:05.999999999+00:00")+1 {
			return m[end:]
		}
	case shaped(m, "0000-00-00 00:00:00"): // Docker Desktop
		if end := bytes.Index(near, []byte(" | ")); end > 0 && end < len("2006-01-02 15:04:05.999999999+") {
			return m[end+3:]
		}
	}
	// docker compose: "name-1  | message"
	if bar := bytes.Index(m[:min(len(m), 64)], []byte(" | ")); bar > 0 && isWord(bytes.TrimRight(m[:bar], " ")) {
		return m[bar+3:]
	}
	return nil
}

// bracket: "[rank0]: " of torchrun, "[pod/name/container] " of kubectl --prefix, "[2026-08-01 23:37:49 TP0] " of SGLang.
func (h *head) bracket(near []byte) []byte {
	end := bytes.IndexByte(near, ']')
	if end < 0 {
		return nil
	}
	inner, rest := near[1:end], h.message[end+1:]
	switch {
	case bytes.HasPrefix(inner, []byte("rank")) && bytes.HasPrefix(rest, []byte(": ")):
		if h.rank == nil {
			h.rank = inner
		}
		return rest[1:]
	case bytes.HasPrefix(inner, []byte("pod/")):
		return rest
	case shaped(inner, "0000-00-00 00:00:00"):
		if rank := bytes.TrimLeft(inner[len("2006-01-02 15:04:05"):], " "); len(rank) > 0 {
			h.rank = rank
		}
		return rest
	}
	return nil
}

func isWord(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == '(' || c == '[' || c == '|' {
			return false
		}
	}
	return len(b) > 0
}

// logger splits off the head of vLLM's own logger: LEVEL mm-dd HH:MM:SS [file.py:12] message, before 0.8 without the
// opening bracket. VLLM_LOGGING_PREFIX may stand before the level.
func (h *head) logger() {
	near := h.message[:min(len(h.message), 120)]
	for i := bytes.IndexByte(near, ' '); i >= 0 && i+1 < len(near); {
		if isDigit(near[i+1]) && shaped(near[i+1:], "00-00 00:00:00") {
			level := bytes.TrimRight(near[:i], " ")
			level = level[lastWord(level):] // a progress bar may stand before it, without a space
			if isLevel(level) {
				h.level, h.stamp = level, near[i+1:i+1+len("01-02 15:04:05")]
				h.place(h.message[i+1+len("01-02 15:04:05"):])
				return
			}
		}
		next := bytes.IndexByte(near[i+1:], ' ')
		if next < 0 {
			return
		}
		i += 1 + next
	}
}

// lastWord is where the capital letters at the end begin.
func lastWord(b []byte) int {
	i := len(b)
	for i > 0 && b[i-1] >= 'A' && b[i-1] <= 'Z' {
		i--
	}
	return i
}

// place splits off the file and line that a message comes from.
func (h *head) place(rest []byte) {
	h.message = bytes.TrimPrefix(rest, []byte(" "))
	end := bytes.IndexByte(h.message[:min(len(h.message), 96)], ']')
	if end > 0 && bytes.IndexByte(h.message[:end], ':') > 0 {
		h.message = bytes.TrimPrefix(h.message[end+1:], []byte(" "))
	}
}

func isLevel(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(b) >= 4 && len(b) <= 8
}

// shaped says whether b begins with digits where shape has 0, and with shape's own bytes elsewhere.
func shaped(b []byte, shape string) bool {
	if len(b) < len(shape) {
		return false
	}
	for i := range len(shape) {
		if shape[i] == '0' {
			if b[i] < '0' || b[i] > '9' {
				return false
			}
		} else if b[i] != shape[i] {
			return false
		}
	}
	return true
}
