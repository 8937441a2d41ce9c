// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"

	"github.com/coldtrace/coldtrace/startup"
)

// maxTraceback is after how many lines a traceback that has not ended is given up: while one is open, no line is cheap.
const maxTraceback = 10_000

// excepted begins a traceback of a rank.
func (r *Reader) excepted(l line, rank string) {
	if len(r.open) >= maxRanks {
		return
	}
	r.open[rank] = true
	r.opened, r.record = 0, ""
	if !r.start.chained[rank] {
		r.beside = r.aside[rank]
	}
	clear(r.aside)
	if l.record {
		r.record = rank
	}
}

// traceback reads the line that ends a Python traceback: the first that is not indented names the exception.
func (r *Reader) traceback(l *line) {
	h, text := &l.head, l.text
	if r.opened++; r.opened > maxTraceback {
		clear(r.open)
	}
	if len(r.open) == 0 || len(h.message) == 0 {
		return
	}
	rank := string(h.rank)
	if rank == "" && !r.open[rank] {
		rank = r.record
	}
	if !r.open[rank] {
		return
	}
	if c := h.message[0]; c == ' ' || c == '^' || c == '\t' || c == '|' || c == '+' || indented(h, text) ||
		bytes.HasPrefix(h.message, []byte("Traceback")) {
		return
	}
	name := exceptionName(h.message)
	if name == "" {
		return
	}
	delete(r.open, rank)
	switch name {
	case "KeyboardInterrupt":
		r.start.interrupt(l.at, rank)
	case "CancelledError", "SystemExit", "GeneratorExit":
	default:
		if r.beside == markAside {
			break
		}
		if name == "ChildFailedError" && r.start.exit != nil {
			break // torchrun's, which has said how
		}
		if r.start.chained[rank] {
			r.start.caught(rank)
		}
		if r.start.fail(l.at, failure{reason: startup.PythonException(name), rank: rank, at: l.by, class: exception, thread: r.beside == markThread}) {
			r.raised = r.pass
		}
	}
	delete(r.start.chained, rank)
}

// indented: parse trims what stands before a message without a head of vLLM's logger, so look at the text itself.
func indented(h *head, text []byte) bool {
	if h.stamp != nil || cap(h.message) == 0 {
		return false
	}
	at := len(text) - len(h.message)
	spaces := 0
	for at > 0 && (text[at-1] == ' ' || text[at-1] == '\t') {
		at--
		spaces++
	}
	if at == 0 {
		return spaces > 0
	}
	return spaces > 1 // one space follows a process prefix
}

// exceptionName is the last part of a dotted identifier that stands before a colon or the line's end.
func exceptionName(message []byte) string {
	end := 0
	for end < len(message) && (message[end] == '_' || message[end] == '.' || isDigit(message[end]) ||
		message[end]|0x20 >= 'a' && message[end]|0x20 <= 'z') {
		end++
	}
	if end == 0 || end > 160 {
		return ""
	}
	tail := message[end:]
	if len(tail) > 0 && tail[0] == '(' { // RayTaskError(ValueError)
		if inner := exceptionName(tail[1:]); inner != "" {
			return inner
		}
	}
	if len(tail) > 0 && tail[0] != ':' && tail[0] != ')' {
		return ""
	}
	name := message[:end]
	if dot := bytes.LastIndexByte(name, '.'); dot >= 0 {
		name = name[dot+1:]
	}
	if len(name) < 3 || len(name) > 64 || name[0] < 'A' || name[0] > 'Z' {
		return ""
	}
	return string(name)
}
