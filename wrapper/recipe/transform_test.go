// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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
	"without process prefixes": func(b []byte) []byte { return processes.ReplaceAll(b, nil) },
	"bars without returns":     func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r"), nil) },
	"copied from a terminal": func(b []byte) []byte {
		b = ansi.ReplaceAll(b, nil)
		var out []byte
		s := splitter{log: b}
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
			t.Run(filepath.Base(path)+" "+name, func(t *testing.T) {
				got, err := ReadLog(bytes.NewReader(transform(log)), options)
				if err != nil {
					t.Fatal(err)
				}
				if want.Engine != "vllm" { // other engines have no stamps but the collector's
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
