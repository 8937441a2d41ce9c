// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"testing"
	"time"
)

func TestTheWrappersTimesAreReadOneWay(t *testing.T) {
	for text, want := range map[string]struct{ timeout, flush time.Duration }{
		"": {time.Hour, 2 * time.Second}, "0s": {time.Hour, 2 * time.Second}, "-1s": {time.Hour, 2 * time.Second}, "soon": {time.Hour, 2 * time.Second},
		"5s": {5 * time.Second, 5 * time.Second}, "30m": {30 * time.Minute, 10 * time.Second},
	} {
		if timeout, flush := Timeout(text), FlushTimeout(text); timeout != want.timeout || flush != want.flush {
			t.Errorf("%q is %s until the start is given up and %s until the end, want %+v", text, timeout, flush, want)
		}
	}
	if got := FlushTimeout(" 5s "); got != 5*time.Second {
		t.Errorf("between spaces it is %s", got)
	}
}
