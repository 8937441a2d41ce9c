// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"time"

	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/trace/text"
)

// Together are the starts of several pods as one, of which starts of the report are parts.
type Together struct {
	Starts int `json:"starts"`
	Counts
	Total  *Quantiles `json:"total_seconds"` // of those that got ready; nil: none did
	HeldUp []Reason   `json:"held_up"`       // phases in which one pod was late enough to hold the others up, the most frequent first
	// LeftOut are pods for which there was no room. Their groups are not counted.
	LeftOut int `json:"pods_left_out"`
}

// together sorts starts into those of groups. A pod of whose group no other is there is none.
func together(starts []Start) (out Together) {
	var table group.Table
	var now time.Time
	asked := map[[2]string]bool{}
	for i := range starts {
		if m := starts[i].member; m != nil {
			if fits, _ := table.Put(*m); !fits {
				out.LeftOut++
			}
			asked[[2]string{m.Namespace, m.Group.Key}] = true
		}
		if end := starts[i].Began.Add(starts[i].Total); end.After(now) {
			now = end
		}
	}
	var totals []time.Duration
	held := map[string]int{}
	for at := range asked {
		for _, s := range table.Starts(at[0], at[1], now) {
			late, is := s.HeldUp()
			switch {
			case s.Partial || len(s.Members) < 2:
				continue
			case s.Outcome == "":
				out.Going++
			case !s.Well():
				out.Failed++
			default:
				out.Ready++
				totals = append(totals, s.End.Sub(s.Begin))
			}
			if is && late.Phase != "" {
				held[late.Phase]++
			}
		}
	}
	if out.Starts = out.Ready + out.Failed + out.Going; out.Ready > 0 {
		out.Total = new(quantiles(totals))
	}
	out.HeldUp = mostFrequent(held)
	return out
}

// line is them in words: "3 groups of pods that start as one: 2 ready (p50 10m 40s, p90 12m 05s), 1 failed; held up by image_pull ×2".
func (t Together) line() string {
	took := ""
	if t.Ready > 0 {
		took = fmt.Sprintf(" (p50 %s, p90 %s)", text.Seconds(t.Total.P50), text.Seconds(t.Total.P90))
	}
	out := text.Plural(t.Starts, "group") + " of pods that start as one: " + t.ended(took)
	if len(t.HeldUp) > 0 {
		out += "; held up by " + said(t.HeldUp, 3)
	}
	if t.LeftOut > 0 {
		out += fmt.Sprintf("; without the groups of %s for which there was no room", text.Plural(t.LeftOut, "pod"))
	}
	return out
}
