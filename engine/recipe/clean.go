// SPDX-License-Identifier: Apache-2.0

package recipe

import "bytes"

// markers are how collectors write the escape character where they don't keep it.
var markers = [...]string{"\x1b", "#033", `\033`, `\u001b`, `\x1b`, "^["}

// coloured says whether a line has escape sequences, or what is left of them: a copy that lost the escape character
// itself still has "[0m".
func coloured(line []byte) bool {
	if bytes.IndexByte(line, 0x1b) >= 0 {
		return true
	}
	for rest := line; ; {
		at := bytes.IndexByte(rest, '[')
		if at < 0 {
			return false
		}
		rest = rest[at:]
		if sequence(rest) > 0 {
			return true
		}
		rest = rest[1:]
	}
}

// clean copies line to buf without escape sequences.
func clean(buf, line []byte) []byte {
	buf = buf[:0]
	for len(line) > 0 {
		next := bytes.IndexAny(line, "\x1b[")
		if next < 0 {
			return append(buf, line...)
		}
		buf = append(buf, line[:next]...)
		line = line[next:]
		if line[0] == 0x1b {
			line = line[1:]
			if len(line) > 0 && line[0] == '[' {
				line = line[control(line):]
			}
			continue
		}
		if n := sequence(line); n > 0 {
			for _, m := range markers {
				buf = bytes.TrimSuffix(buf, []byte(m))
			}
			line = line[n:]
			continue
		}
		buf = append(buf, line[0])
		line = line[1:]
	}
	return buf
}

// control is how long a control sequence is whose escape character was there.
func control(line []byte) int {
	end := 1
	for end < len(line) && (line[end] < 0x40 || line[end] > 0x7e) {
		end++
	}
	return min(end+1, len(line))
}

// sequence is how long a colour's "[1;36m" is at the beginning of line, 0 if there is none.
func sequence(line []byte) int {
	end := 1
	for end < len(line) && end < len("[38;5;255;48;5;255m") && (isDigit(line[end]) || line[end] == ';') {
		end++
	}
	if end > 1 && end < len(line) && line[end] == 'm' {
		return end + 1
	}
	return 0
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
