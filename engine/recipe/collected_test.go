// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"io"
	"testing"
)

// unwrapped is a log without what collected it.
func unwrapped(t *testing.T, log []byte) string {
	t.Helper()
	text, _ := collected(bufio.NewReaderSize(bytes.NewReader(log), sampled))
	got, err := io.ReadAll(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestLinesOfAContainerRuntimeAreUnwrapped(t *testing.T) {
	for name, c := range map[string]struct{ log, want string }{
		"containerd's": {"2026-03-01T12:00:00.1Z stdout F one\n2026-03-01T12:00:01.1+01:00 stderr F two\n", "2026-03-01T12:00:00.1Z one\n2026-03-01T12:00:01.1+01:00 two\n"},
		"pieces of two streams, between each other": {
			"2026-03-01T12:00:00.1Z stdout P one \n2026-03-01T12:00:00.2Z stderr P two \n2026-03-01T12:00:00.3Z stdout F whole\n2026-03-01T12:00:00.4Z stderr F whole\n",
			"2026-03-01T12:00:00.1Z one whole\n2026-03-01T12:00:00.2Z two whole\n",
		},
		"a piece that is the last":   {"2026-03-01T12:00:00.1Z stdout P one\n", "2026-03-01T12:00:00.1Z one\n"},
		"an empty line":              {"2026-03-01T12:00:00.1Z stdout F \n2026-03-01T12:00:00.1Z stdout F\n", "2026-03-01T12:00:00.1Z \n2026-03-01T12:00:00.1Z \n"},
		"a line that is not wrapped": {"2026-03-01T12:00:00.1Z stdout F one\ntwo\n", "2026-03-01T12:00:00.1Z one\ntwo\n"},
		"Docker's":                   {`{"log":"\u001b[32mone\u001b[0m\n","stream":"stdout","time":"2026-03-01T12:00:00.1Z"}` + "\n", "2026-03-01T12:00:00.1Z \x1b[32mone\x1b[0m\n"},
		"Docker's, in pieces": {
			`{"log":"one ","stream":"stdout","time":"2026-03-01T12:00:00.1Z"}` + "\n" + `{"log":"whole\n","stream":"stdout","time":"2026-03-01T12:00:00.2Z"}` + "\n",
			"2026-03-01T12:00:00.1Z one whole\n",
		},
		"kubectl's, as it is":       {"2026-03-01T12:00:00.1Z one\n", "2026-03-01T12:00:00.1Z one\n"},
		"an engine's JSON":          {`{"log":"not a runtime's"}` + "\n", `{"log":"not a runtime's"}` + "\n"},
		"any other, as it is":       {"INFO 03-01 12:00:00 [x.py:1] one\r\ntwo", "INFO 03-01 12:00:00 [x.py:1] one\r\ntwo"},
		"nothing":                   {"", ""},
		"a runtime's, cut anywhere": {"2026-03-01T12:00:00.1Z stdout F one\n2026-03-01T12:00", "2026-03-01T12:00:00.1Z one\n2026-03-01T12:00\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := unwrapped(t, []byte(c.log)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestColoursAreTakenOffHoweverTheyAreWritten(t *testing.T) {
	const want = "(APIServer pid=1) INFO [x.py:1] 12% [00:01<00:02] [1, 2] hello"
	for name, line := range map[string]string{
		"none":                  want,
		"escape sequences":      "\x1b[1;36m(APIServer pid=1)\x1b[0;0m INFO \x1b[90m[x.py:1]\x1b[0m 12% [00:01<00:02] [1, 2] hello\x1b[K",
		"without the escape":    "[1;36m(APIServer pid=1)[0;0m INFO [90m[x.py:1][0m 12% [00:01<00:02] [1, 2] hello",
		"octal, as syslog's":    "#033[1;36m(APIServer pid=1)#033[0;0m INFO [x.py:1] 12% [00:01<00:02] [1, 2] hello",
		"as JSON's":             `\u001b[1;36m(APIServer pid=1)\u001b[0;0m INFO [x.py:1] 12% [00:01<00:02] [1, 2] hello`,
		"as cat -v's":           "^[[1;36m(APIServer pid=1)^[[0;0m INFO [x.py:1] 12% [00:01<00:02] [1, 2] hello",
		"of 256":                "\x1b[38;5;208m(APIServer pid=1)\x1b[0m INFO [x.py:1] 12% [00:01<00:02] [1, 2] hello",
		"the cursor's way":      "\x1b[A\x1b[2K(APIServer pid=1) INFO [x.py:1] 12% [00:01<00:02] [1, 2] hello",
		"cut within":            want + "\x1b[38;",
		"an escape that is all": want + "\x1b",
	} {
		if got := string(clean(nil, []byte(line))); got != want {
			t.Errorf("%s: %q", name, got)
		}
		if line != want && !coloured([]byte(line)) {
			t.Errorf("%s: not seen", name)
		}
	}
}

func FuzzCollectedSurvivesAnyLog(f *testing.F) {
	f.Add([]byte("2026-03-01T12:00:00.1Z stdout P one\n2026-03-01T12:00:00.1Z stdout F two\n"))
	f.Add([]byte(`{"log":"one\n","stream":"stdout","time":"2026-03-01T12:00:00.1Z"}` + "\n{\"log\":"))
	f.Fuzz(func(t *testing.T, log []byte) {
		if got := unwrapped(t, log); len(got) > 40*len(log)+64 { // a byte that is no UTF-8 becomes a rune of three, a line gets a date
			t.Errorf("%d bytes became %d", len(log), len(got))
		}
		if got := clean(nil, log); len(got) > len(log) {
			t.Errorf("%d bytes became %d", len(log), len(got))
		}
	})
}
