// SPDX-License-Identifier: Apache-2.0

// Package text says durations, shares and sizes as a person does, and fits text into the cells of a terminal. For programs it writes
// JSON.
package text

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// WriteJSON writes a document as one object, indented.
func WriteJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// Printable replaces what would move the cursor or hide text on a terminal: a span's strings come from anywhere.
func Printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s // as most are
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) ||
			unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			return '\ufffd'
		}
		return r
	}, s)
}

// cells knows how many cells of a terminal a text takes, whatever the locale here: the drawing may be read elsewhere.
var cells = &runewidth.Condition{StrictEmojiNeutral: true}

// Columns are the cells that s takes.
func Columns(s string) int { return cells.StringWidth(s) }

// Clip cuts s to at most n columns, with an ellipsis where something was cut.
func Clip(s string, n int) string {
	if n <= 0 {
		return ""
	}
	return cells.Truncate(s, n, "…")
}

// Fit cuts or pads s to exactly n columns.
func Fit(s string, n int) string { return cells.FillRight(Clip(s, n), n) }

// Right pads s on its left to n columns.
func Right(s string, n int) string { return cells.FillLeft(s, n) }

// Wrap cuts s at blanks into lines of at most so many columns; a word that is longer, such as a URL, stays whole.
func Wrap(s string, columns int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case Columns(line)+1+Columns(word) <= columns:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// Break is Wrap, but that a longer word is broken, too.
func Break(s string, columns int) []string {
	words := strings.Fields(s)
	for i, word := range words {
		if Columns(word) > columns {
			words[i] = cells.Wrap(word, max(columns, 1))
		}
	}
	return Wrap(strings.Join(words, " "), columns)
}

// Seconds is a duration as a person says it, in three to four digits.
func Seconds(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return "<1 ms"
	case d.Round(time.Millisecond) < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d.Round(10*time.Millisecond) < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d.Round(100*time.Millisecond) < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d.Round(time.Second) < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm %02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh %02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// Plural counts: 1 start, 2 starts.
func Plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// Some names the first of many: "a, b and 3 more".
func Some(names []string, most int) string {
	said := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		said += fmt.Sprintf(" and %d more", more)
	}
	return said
}

// Share is a part of the whole in per cent.
func Share(part, whole time.Duration) string {
	if whole <= 0 {
		return ""
	}
	percent := 100 * float64(part) / float64(whole)
	switch {
	case part > 0 && percent < 0.1:
		return "<0.1%"
	case percent < 9.95:
		return fmt.Sprintf("%.1f%%", percent)
	}
	return fmt.Sprintf("%.0f%%", percent)
}

// Size is a number of bytes in decimal units, as image sizes and network rates are told.
func Size(bytes float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	for bytes >= 999.5 && len(units) > 1 {
		bytes, units = bytes/1000, units[1:]
	}
	if units[0] == "B" || bytes >= 99.95 {
		return fmt.Sprintf("%.0f %s", bytes, units[0])
	}
	return fmt.Sprintf("%.1f %s", bytes, units[0])
}
