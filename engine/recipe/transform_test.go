// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	ansi      = regexp.MustCompile("\x1b\\[[0-9;]*m")
	anyLine   = regexp.MustCompile(`(?m)^(.*\n)`)
	processes = regexp.MustCompile(`(?m)^(\x1b\[[0-9;]*m)?\((APIServer|EngineCore[_A-Z0-9]*) pid=\d+\)(\x1b\[[0-9;]*m)? `)
)

// transforms are what happens to logs on their way to a file.
var transforms = map[string]func([]byte) []byte{
	"colours stripped":     func(b []byte) []byte { return ansi.ReplaceAll(b, nil) },
	"kubectl --timestamps": func(b []byte) []byte { return anyLine.ReplaceAll(b, []byte("2026-03-01T12:00:00.123456789Z $1")) },
	"docker compose":       func(b []byte) []byte { return anyLine.ReplaceAll(b, []byte("server-1  | $1")) },
	"Windows line ends": func(b []byte) []byte {
		return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	},
	"containerd's file": func(b []byte) []byte { return stored(b, containerdLine) },
	"Docker's file":     func(b []byte) []byte { return stored(b, dockerLine) },
	"the journal":       func(b []byte) []byte { return anyLine.ReplaceAll(b, []byte("Mar 01 12:00:00 node vllm[4711]: $1")) },
	"the journal with whole dates, in another language": func(b []byte) []byte {
		return anyLine.ReplaceAll(b, []byte("2026-03-01T12:00:00+0100 node python3[4711]: $1"))
	},
	"a pipeline's dates":      func(b []byte) []byte { return anyLine.ReplaceAll(b, []byte("[2026-03-01T12:00:00Z] $1")) },
	"srun --label":            func(b []byte) []byte { return anyLine.ReplaceAll(b, []byte("0: $1")) },
	"a terminal's viewer":     func(b []byte) []byte { return anyLine.ReplaceAll(b, []byte("│ $1")) },
	"escapes without escapes": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\x1b["), []byte("[")) },
	"escapes as syslog writes": func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("\x1b["), []byte("#033["))
	},
	"without process prefixes": func(b []byte) []byte { return processes.ReplaceAll(b, nil) },
	"bars without returns":     func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r"), nil) },
	"copied from a terminal": func(b []byte) []byte {
		b = ansi.ReplaceAll(b, nil)
		var out []byte
		s := split(b)
		for line, ok := s.next(); ok; line, ok = s.next() {
			for len(line) > 160 {
				out = append(append(out, line[:160]...), '\n')
				line = line[160:]
			}
			out = append(append(out, line...), '\n')
		}
		return out
	},
}

// stored is a log as a container runtime stores it: long lines in pieces, each behind a head of its own.
func stored(log []byte, line func(text []byte, whole bool) []byte) []byte {
	const most = 300
	var out []byte
	for len(log) > 0 {
		text := firstLine(log)
		log = log[min(len(text)+1, len(log)):]
		for len(text) > most {
			out = append(out, line(text[:most], false)...)
			text = text[most:]
		}
		out = append(out, line(text, true)...)
	}
	return out
}

const storedAt = "2026-03-01T12:00:00.123456789Z"

func containerdLine(text []byte, whole bool) []byte {
	tag := "P"
	if whole {
		tag = "F"
	}
	return fmt.Appendf(nil, "%s stderr %s %s\n", storedAt, tag, text)
}

func dockerLine(text []byte, whole bool) []byte {
	if whole {
		text = append(bytes.Clone(text), '\n')
	}
	raw, err := json.Marshal(map[string]string{"log": string(text), "stream": "stdout", "time": storedAt})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return append(raw, '\n')
}

func TestWhatHappensToALogOnItsWayChangesNothing(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil {
		t.Fatal(err)
	}
	if dir := findCorpus(); dir != "" {
		captured, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, captured...)
	}
	options := LogOptions{Location: time.UTC, Now: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)}
	for _, path := range logs {
		log, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ReadLog(bytes.NewReader(log), options)
		if err != nil {
			t.Fatal(err)
		}
		for name, transform := range transforms {
			if wrapWidth(log) != 0 && name != "colours stripped" && name != "Windows line ends" {
				continue // wrapped by a terminal is the last thing that happens
			}
			if name == "without process prefixes" && strings.Contains(path, "restarted") {
				continue // they tell the second launch's first line
			}
			if name == "copied from a terminal" && bytes.Contains(log, bytes.Repeat([]byte("█"), 200)) {
				continue // its bars are those of a wider one
			}
			t.Run(filepath.Base(path)+" "+name, func(t *testing.T) {
				got, err := ReadLog(bytes.NewReader(transform(log)), options)
				if err != nil {
					t.Fatal(err)
				}
				if want.Figures["first_stamp"] == nil { // no stamps of vLLM's logger: a collector's may come first
					delete(got.Figures, "ready_stamp")
					delete(want.Figures, "ready_stamp")
				}
				if got.Outcome != want.Outcome || got.Reason != want.Reason || got.Version != want.Version || got.Engine != want.Engine {
					t.Errorf("%s %s %s %q, want %s %s %s %q", got.Engine, got.Version, got.Outcome, got.Reason,
						want.Engine, want.Version, want.Outcome, want.Reason)
				}
				if !reflect.DeepEqual(got.Figures, want.Figures) {
					t.Errorf("figures\n%v, want\n%v", got.Figures, want.Figures)
				}
			})
		}
	}
}
