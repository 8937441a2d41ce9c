// SPDX-License-Identifier: Apache-2.0

// Package timelinetest prints timelines for tests to compare.
package timelinetest

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup/pod"
)

// Write prints a start as an indented list of its spans: the begin relative to the pod's creation, the duration,
// how it ended, its attributes and events. Tests compare it.
func Write(w io.Writer, t *pod.Timeline) {
	if len(t.Spans) == 0 {
		return
	}
	write(w, t, "", "", t.Spans[0].Start)
}

func write(w io.Writer, t *pod.Timeline, parent, indent string, zero time.Time) {
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.ParentKey != parent {
			continue
		}
		fmt.Fprintf(w, "%s%s +%s %s", indent, s.Key, span(s.Start.Sub(zero)), span(s.Duration()))
		switch {
		case s.Open:
			fmt.Fprint(w, " open")
		case s.Failure != "":
			fmt.Fprintf(w, " FAILED %s", s.Failure)
		}
		for _, a := range s.Attributes {
			fmt.Fprintf(w, " %s=%s", a.Key, strings.ReplaceAll(a.Value.String(), " ", "_"))
		}
		fmt.Fprintln(w)
		for _, e := range s.Events {
			fmt.Fprintf(w, "%s  ! %s +%s", indent, e.Name, span(e.Time.Sub(zero)))
			for _, a := range e.Attributes {
				fmt.Fprintf(w, " %s=%s", a.Key, strings.ReplaceAll(a.Value.String(), " ", "_"))
			}
			fmt.Fprintln(w)
		}
		write(w, t, s.Key, indent+"  ", zero)
	}
}

// span prints a duration in seconds with six digits: finer than any source but event names.
func span(d time.Duration) string { return fmt.Sprintf("%.6fs", d.Seconds()) }
