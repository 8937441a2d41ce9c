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
	for {
		h.message = bytes.TrimLeft(h.message, " \t\r")
		if len(h.message) == 0 {
			return h
		}
		if h.message[0] == '(' {
			end := bytes.IndexByte(h.message[:min(len(h.message), 160)], ')')
			if end < 0 || !bytes.Contains(h.message[:end], []byte("pid=")) {
				break
			}
			prefix := h.message[1:end]
			h.ray = h.ray || bytes.HasPrefix(prefix, []byte("Ray")) || bytes.HasPrefix(prefix, []byte("pid="))
			h.rank = prefix
			h.message = h.message[end+1:]
			continue
		}
		// docker compose and the like: "name-1  | message"
		if bar := bytes.Index(h.message[:min(len(h.message), 64)], []byte(" | ")); bar > 0 && isWord(bytes.TrimRight(h.message[:bar], " ")) {
			h.message = h.message[bar+3:]
			continue
		}
		break
	}
	h.vllm()
	return h
}

func isWord(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == '(' || c == '[' || c == '|' {
			return false
		}
	}
	return len(b) > 0
}

// vllm splits off the head of vLLM's own logger: LEVEL mm-dd HH:MM:SS [file.py:12] message, before 0.8 without the
// opening bracket.
func (h *head) vllm() {
	word := bytes.IndexByte(h.message, ' ')
	if word < 4 || word > 8 {
		return
	}
	level, rest := h.message[:word], bytes.TrimLeft(h.message[word:], " ")
	for _, c := range level {
		if c < 'A' || c > 'Z' {
			return
		}
	}
	if len(rest) < len("01-02 15:04:05 ") || !shaped(rest, "00-00 00:00:00") {
		return
	}
	h.level, h.stamp = level, rest[:len("01-02 15:04:05")]
	h.message = bytes.TrimPrefix(rest[len("01-02 15:04:05"):], []byte(" "))
	if end := bytes.IndexByte(h.message[:min(len(h.message), 96)], ']'); end > 0 && bytes.IndexByte(h.message[:end], ':') > 0 {
		h.message = bytes.TrimPrefix(h.message[end+1:], []byte(" "))
	}
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
