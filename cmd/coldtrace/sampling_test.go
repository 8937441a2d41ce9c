// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func samplingOf(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newSamplingCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	err := cmd.Execute()
	return out.String(), err
}

var incidentFlags = []string{"--tasks", "2500", "--poll-interval", "3s", "--failing", "10", "--attempts", "9", "--requests", "50"}

func TestSamplingPrintsTheIncidentByClass(t *testing.T) {
	out, err := samplingOf(t, incidentFlags...)
	if err != nil {
		t.Fatal(err)
	}
	want := `                   requests/s  traced/s  kept/s    kept/day  dropped
            polls      833.33    833.33  833.33  72,000,000   0.00 %
         requests       50.00     50.00   50.00   4,320,000   0.00 %
  failed attempts       90.00     90.00   90.00   7,776,000   0.00 %
         startups        0.00      0.00    0.00           0   0.00 %
            total      973.33    973.33  973.33  84,096,000   0.00 %
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestSamplingTakesForPollsWhatIsSaidOfAllUnlessItIsSaidOfPolls(t *testing.T) {
	for name, test := range map[string]struct {
		flags []string
		polls float64 // kept per second
	}{
		"of all":                 {[]string{"--root", "10"}, 83.333333},
		"of polls":               {[]string{"--root", "10", "--root-polls", "1"}, 8.333333},
		"of all, then of polls":  {[]string{"--keep", "10", "--keep-polls", "0"}, 0},
		"of the collector alone": {[]string{"--keep", "10"}, 83.333333},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := samplingOf(t, append(append([]string{"--json"}, incidentFlags...), test.flags...)...)
			if err != nil {
				t.Fatal(err)
			}
			var lines []struct {
				Class string  `json:"class"`
				Kept  float64 `json:"kept_per_second"`
			}
			if err := json.Unmarshal([]byte(out), &lines); err != nil {
				t.Fatal(err)
			}
			if lines[0].Class != "polls" || lines[0].Kept != test.polls {
				t.Errorf("%+v, want %v polls a second", lines[0], test.polls)
			}
		})
	}
}

func TestSamplingNamesABadFlag(t *testing.T) {
	for flags, want := range map[string]string{
		"":                                "there is no load: give at least one of --requests",
		"--tasks many":                    `"--tasks"`,
		"--tasks 1 --poll-interval 0s":    "--poll-interval 0s: want an interval above 0",
		"--tasks 1 --poll-interval 3":     `"--poll-interval"`,
		"--requests 1 --keep 200":         "--keep 200: want a percentage from 0 to 100",
		"--requests 1 --root-polls -1":    "--root-polls -1: want a percentage",
		"--failing 1 --attempts 0":        "--attempts 0: want 1 or more",
		"--requests 1 --sampling-rate 10": "unknown flag: --sampling-rate",
	} {
		t.Run(flags, func(t *testing.T) {
			out, err := samplingOf(t, strings.Fields(flags)...)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(out, "polls ") {
				t.Errorf("error %v, want one with %q; printed %q", err, want, out)
			}
		})
	}
}
