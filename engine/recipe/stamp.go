// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"strconv"
	"time"
)

// stampReach is how far into a line its stamp is looked for: past process prefixes, short of the message.
const stampReach = 200

// form is how a logger writes times: two of one program write theirs each in its own, by one clock.
type form byte

const (
	formNone     form = iota
	formSpace         // 2026-03-01 12:00:00: Python's
	formT             // 2026-03-01T12:00:00: RFC 3339
	formYearless      // 03-01 12:00:00: vLLM's
	formAmerican      // 03/01/2026-12:00:00: TensorRT-LLM's
	formSlashes       // 2026/03/01 12:00:00
	formGlog          // I0301 12:00:00.000000, TurboMind's [0301.12:00:00.000000]
)

// stamped finds the first time in a clean line: vLLM's mm-dd HH:MM:SS, or a date with a year (SGLang, TGI, Ray,
// containerd). latest places a stamp that has no year. All times are shown in zone.
func stamped(line []byte, latest time.Time, zone *time.Location) (time.Time, bool) {
	t, of := stampOf(line, latest, zone)
	return t, of != formNone
}

// valid is a form, if what was written in it is a time.
func (f form) valid(t time.Time, ok bool) (time.Time, form) {
	if !ok {
		f = formNone
	}
	return t, f
}

func stampOf(line []byte, latest time.Time, zone *time.Location) (time.Time, form) {
	line = line[:min(len(line), stampReach)]
	for i := range line {
		if line[i] < '0' || line[i] > '9' || i > 0 && (isDigit(line[i-1]) || line[i-1] == '-') {
			continue
		}
		b := line[i:]
		switch {
		case shaped(b, "0000-00-00 00:00:00"):
			return formSpace.valid(dated(b, zone))
		case shaped(b, "0000-00-00T00:00:00"):
			return formT.valid(dated(b, zone))
		case shaped(b, "00-00 00:00:00"):
			return formYearless.valid(yearless(b, latest, zone))
		case shaped(b, "00/00/0000-00:00:00"):
			return formAmerican.valid(dated([]byte(string(b[6:10])+"-"+string(b[:2])+"-"+string(b[3:5])+" "+string(b[11:19])), zone))
		case shaped(b, "0000/00/00 00:00:00"):
			return formSlashes.valid(dated([]byte(string(b[:4])+"-"+string(b[5:7])+"-"+string(b[8:min(len(b), 32)])), zone))
		case i > 0 && (shaped(b, "0000 00:00:00.000000") && line[i-1] >= 'A' && line[i-1] <= 'Z' || shaped(b, "0000.00:00:00.000000") && line[i-1] == '['):
			t, ok := yearless([]byte(string(b[:2])+"-"+string(b[2:13])), latest, zone)
			return formGlog.valid(t.Add(fraction(b[len("0000 00:00:00"):])), ok)
		}
	}
	return time.Time{}, formNone
}

// logged says whether some logger wrote the line: it begins with a time.
func logged(text []byte) bool {
	_, is := stamped(text[:min(len(text), 40)], time.Unix(0, 0), time.UTC)
	return is
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func dated(b []byte, zone *time.Location) (time.Time, bool) {
	whole, tail, shown := b[:19], b[19:], zone
	layout := "2006-01-02 15:04:05"
	if whole[10] == 'T' {
		layout = "2006-01-02T15:04:05"
	}
	if frac := tail; len(frac) > 1 && (frac[0] == '.' || frac[0] == ',') {
		n := 1
		for n < len(frac) && isDigit(frac[n]) {
			n++
		}
		tail = frac[n:]
	}
	switch {
	case bytes.HasPrefix(tail, []byte("Z")):
		zone = time.UTC
	case shaped(tail, "+00:00") || shaped(tail, "-00:00"):
		if t, err := time.Parse("-07:00", string(tail[:6])); err == nil {
			zone = t.Location()
		}
	}
	t, err := time.ParseInLocation(layout, string(whole), zone)
	return t.Add(fraction(b[19:])).In(shown), err == nil
}

// fraction of a second: ".123456" or ",123".
func fraction(b []byte) time.Duration {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' {
		return 0
	}
	n := 1
	for n < len(b) && n <= 9 && isDigit(b[n]) {
		n++
	}
	v, err := strconv.ParseFloat("0."+string(b[1:n]), 64)
	if err != nil {
		return 0
	}
	return time.Duration(v * float64(time.Second)).Round(time.Nanosecond)
}

// yearless reads mm-dd HH:MM:SS in the year that makes it the latest not after latest, a day of clock skew allowed.
func yearless(b []byte, latest time.Time, zone *time.Location) (time.Time, bool) {
	two := func(at int) int { return int(b[at]-'0')*10 + int(b[at+1]-'0') }
	month, day, hour, minute, second := time.Month(two(0)), two(3), two(6), two(9), two(12)
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	for year := latest.In(zone).Year() + 1; year > latest.Year()-8; year-- { // 02-29 exists every fourth year
		t := time.Date(year, month, day, hour, minute, second, 0, zone)
		if t.Day() == day && !t.After(latest.Add(24*time.Hour)) {
			return t, true
		}
	}
	return time.Time{}, false
}
