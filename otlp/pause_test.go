// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestPausesGrowFromFourTenthsToTwentySeconds(t *testing.T) {
	var got []time.Duration
	for pause := longer(0); len(got) < 9; pause = longer(pause) {
		got = append(got, pause/time.Millisecond)
	}
	if want := []time.Duration{400, 800, 1600, 3200, 6400, 12800, 20000, 20000, 20000}; !slices.Equal(got, want) {
		t.Errorf("%d", got)
	}
}

func TestTheTimeoutOfOneAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		configured  time.Duration
		own, common string
		want        time.Duration
	}{
		"none":                  {0, "", "", DefaultExportTimeout},
		"milliseconds":          {0, "", "2500", 2500 * time.Millisecond},
		"the signal's own":      {0, "1000", "2500", time.Second},
		"Python's seconds":      {0, "", "10", 10 * time.Second},
		"not a number":          {0, "", "10s", DefaultExportTimeout},
		"a negative one":        {0, "", "-1", DefaultExportTimeout},
		"never":                 {0, "", "0", DefaultExportTimeout},
		"more than there is":    {0, "", "99999999999999999999", DefaultExportTimeout},
		"a configured one wins": {time.Minute, "1000", "2500", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", c.own)
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", c.common)
			if got := tracesSignal.timeout(ExporterConfig{Timeout: c.configured}); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestWhenToAskAgain(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "Mon, 01 Jan 2001 00:00:00 GMT": 0, "1e9": 0,
	} {
		if got := retryAfter(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	if got := retryAfter(time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)); got < 59*time.Minute || got > time.Hour {
		t.Errorf("in an hour: %v", got)
	}
}
