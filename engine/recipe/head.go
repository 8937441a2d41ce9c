// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// head is what stands before a log line's message.
type head struct {
	rank    []byte // innermost process prefix, "" where there is none: tells ranks apart
	ray     bool   // forwarded by Ray, perhaps minutes late
	record  bool   // rank stands in the head of a record, whose further lines have none
	stamp   []byte // mm-dd HH:MM:SS of vLLM's own logger
	level   []byte // INFO, WARNING, …
	message []byte

	container []byte // its name, by docker compose, kubectl --prefix or stern

	lead  []byte // what else stands before the line of vLLM's own logger: an application's stamp, name, sign
	dated bool   // a collector's date was taken off
	bar   int    // where a progress bar ends that the line was written behind
}

// parse takes a clean line apart. What lines before it had before their heads, lead, is not its own.
func parse(line []byte, lead string) head {
	h := head{message: line, bar: barEnd(line)}
	h.of(lead)
	for rest := line[h.bar:]; rest != nil; {
		h.message = bytes.TrimLeft(rest, " \t\r")
		if rest = h.prefix(); rest == nil && lead != "" && shaped(h.message, lead) {
			rest, lead = h.message[len(lead):], ""
		}
	}
	h.logger()
	return h
}

// of takes the container's name of a line whose others begin with lead, "llama-0 main " of stern: the pod's name and the container's.
func (h *head) of(lead string) {
	pod, name, two := strings.Cut(strings.TrimSuffix(lead, " "), " ")
	if !two || !strings.Contains(pod, "-") || strings.Contains(name, " ") || !shaped(h.message, pod+" ") {
		return
	}
	h.container, _, _ = bytes.Cut(h.message[len(pod)+1:], []byte(" "))
}

// maxLead is how long what stands before a head may be.
const maxLead = 96

// led is what stands before the head that a line has, in the shape that it has in others: digits are any. The lines of a
// traceback have the same, and no head.
func (h *head) led(before string) string {
	lead := h.lead
	if pid := bytes.Index(lead, []byte(" pid=")); pid >= 0 { // a process's name is the engine's own
		lead = lead[:max(0, bytes.LastIndexByte(lead[:pid], '('))]
	}
	if len(lead) == 0 || len(lead) > maxLead || bytes.IndexByte(lead, '%') >= 0 {
		return before
	}
	return string(bytes.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return '0'
		}
		return c
	}, lead))
}

// barEnd is where a progress bar ends that a log line was written behind, because a bar has no end of its own: 0 where
// there is none. It may be a terminal wide, so what follows would be out of sight.
func barEnd(line []byte) int {
	end := 0
	if bytes.IndexByte(line, '%') < 0 && !bytes.Contains(line, []byte("it [")) {
		return 0 // no bar: of one without a total there is at least the count
	}
	for _, unit := range [...]string{"it/s]", "s/it]", "B/s]"} {
		if bytes.Contains(line, []byte(unit)) { // which is far faster than to look from the end
			end = max(end, bytes.LastIndex(line, []byte(unit))+len(unit))
		}
	}
	if end > 0 && len(bytes.TrimSpace(line[end:])) > 0 {
		return end
	}
	return 0
}

// drawn says whether a text is a progress bar's: a library of many engines draws it, whatever the log level.
func drawn(text []byte) bool { return drawnAt(text) >= 0 }

// drawnAt is where the last of a text's bars begins, with its percent sign; -1: there is none.
func drawnAt(text []byte) int {
	if bytes.IndexByte(text, '%') < 0 { // far faster than to look from the end
		return -1
	}
	return max(bytes.LastIndex(text, []byte("%|")), bytes.LastIndex(text, []byte("% Completed |")))
}

// drawnFor is for how long a bar is drawn, by its own word: "[00:53<01:20, 5.1it/s]".
func drawnFor(text []byte) time.Duration {
	end := max(0, bytes.IndexByte(text, '<'))
	var elapsed time.Duration
	for part := range bytes.SplitSeq(text[bytes.LastIndexByte(text[:end], '[')+1:end], []byte(":")) {
		n, err := strconv.Atoi(string(part))
		if err != nil {
			return 0
		}
		elapsed = 60*elapsed + time.Duration(n)*time.Second
	}
	return min(elapsed, maxLength)
}

// prefix takes one thing off that stands before a message, and returns what follows; nil if there is none.
func (h *head) prefix() []byte {
	m := h.message
	if len(m) == 0 {
		return nil
	}
	switch near := m[:min(len(m), 160)]; {
	case m[0] == '(':
		end := closing(near)
		if end < 0 || !bytes.Contains(m[:end], []byte("pid=")) {
			return nil
		}
		h.rank = m[1:end]
		h.ray = h.ray || bytes.HasPrefix(h.rank, []byte("Ray")) || bytes.HasPrefix(h.rank, []byte("pid="))
		return m[end+1:]
	case m[0] == '[':
		return h.bracket(near)
	case shaped(m, "0000-00-00T00:00:00"): // kubectl logs --timestamps, docker logs -t, journalctl -o short-iso
		if end := bytes.IndexByte(near, ' '); end > 0 && end < len("2006-01-02T15:04:05.999999999+00:00")+1 {
			h.dated = true
			return m[end:]
		}
	case shaped(m, "0000-00-00 00:00:00"): // Docker Desktop
		if end := bytes.Index(near, []byte(" | ")); end > 0 && end < len("2006-01-02 15:04:05.999999999+") {
			return m[end+3:]
		}
	case isDigit(m[0]): // srun --label
		if end := bytes.Index(near, []byte(": ")); end > 0 && end < 5 && allDigits(m[:end]) {
			if h.rank == nil {
				h.rank = m[:end]
			}
			return m[end+2:]
		}
	case bytes.HasPrefix(m, []byte("│ ")): // the frame of a terminal's viewer
		return m[len("│ "):]
	}
	if tag := h.syslog(m[:min(len(m), 128)]); tag > 0 {
		return m[tag:]
	}
	// docker compose: "name-1  | message"
	if bar := bytes.Index(m[:min(len(m), 64)], []byte(" | ")); bar > 0 && isWord(bytes.TrimRight(m[:bar], " ")) {
		h.container = bytes.TrimRight(m[:bar], " ")
		return m[bar+3:]
	}
	return nil
}

// closing is where the bracket closes that near begins with: Ray's names of actors have brackets of their own.
func closing(near []byte) int {
	depth := 0
	for i, c := range near {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// syslog is how long the head of a line of the journal is: "Aug 19 18:34:30 host vllm[8707]: ", with the month in
// anybody's language.
func (h *head) syslog(near []byte) int {
	end := bytes.Index(near, []byte("]: "))
	if end < 0 {
		return 0
	}
	tag := bytes.LastIndexByte(near[:end], '[')
	if tag <= 0 || !allDigits(near[tag+1:end]) || bytes.IndexByte(near[:tag], '(') >= 0 {
		return 0
	}
	if h.dated {
		return end + 3
	}
	for i := range near[:tag] {
		if isDigit(near[i]) && shaped(near[i:], "00:00:00 ") {
			return end + 3
		}
	}
	return 0
}

// bracket: "[rank0]: " and "[default0]:" of torchrun, "[pod/name/container] " of kubectl --prefix, dates, and with one
// a rank: "[2026-08-01 23:37:49 TP0] " of SGLang.
func (h *head) bracket(near []byte) []byte {
	end := bytes.IndexByte(near, ']')
	if end < 0 {
		return nil
	}
	inner, rest := near[1:end], h.message[end+1:]
	switch {
	case bytes.HasPrefix(inner, []byte("rank")) && bytes.HasPrefix(rest, []byte(": ")),
		bytes.HasPrefix(inner, []byte("default")) && bytes.HasPrefix(rest, []byte(":")):
		if h.rank == nil {
			h.rank = inner
		}
		return rest[1:]
	case bytes.HasPrefix(inner, []byte("pod/")):
		h.container = inner[bytes.LastIndexByte(inner, '/')+1:]
		return rest
	case shaped(inner, "0000-00-00T00:00:00"), shaped(inner, "00/00/0000-00:00:00"):
		return rest
	case shaped(inner, "0000-00-00 00:00:00"):
		if rank := bytes.TrimLeft(inner[len("2006-01-02 15:04:05"):], " "); len(rank) > 0 {
			h.rank, h.record = rank, true
		}
		return rest
	case bytes.Equal(inner, []byte("TRT-LLM")), bytes.Equal(inner, []byte("TensorRT-LLM")), len(inner) == 1 && inner[0] >= 'A' && inner[0] <= 'Z':
		return rest
	case bytes.HasPrefix(inner, []byte("RANK ")): // TensorRT-LLM
		h.rank, h.record = inner, true
		return rest
	}
	return nil
}

// rankBefore is the innermost process prefix anywhere before a message: whatever a collector or another process put
// before it, the writer's own name stands last.
func rankBefore(text []byte) []byte {
	pid := bytes.LastIndex(text, []byte(" pid="))
	if pid < 0 {
		return nil
	}
	from := bytes.LastIndexByte(text[:pid], '(')
	end := bytes.IndexByte(text[pid:], ')')
	if from < 0 || end < 0 || !isWord(text[from+1:pid]) {
		return nil
	}
	return text[from+1 : pid+end]
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return len(b) > 0
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
			h.lead = bytes.TrimRight(level, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
			level = level[len(h.lead):] // a progress bar may stand before it, without a space
			if len(level) >= len("INFO") && len(level) <= len("CRITICAL") {
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

// place splits off the file and line that a message comes from.
func (h *head) place(rest []byte) {
	h.message = bytes.TrimPrefix(rest, []byte(" "))
	end := bytes.IndexByte(h.message[:min(len(h.message), 96)], ']')
	if end > 0 && bytes.IndexByte(h.message[:end], ':') > 0 {
		h.message = bytes.TrimPrefix(h.message[end+1:], []byte(" "))
	}
}
