// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"slices"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

var created = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// aSpan is one that began and ended so long after the pod was created; an end of 0 is none.
func aSpan(name, parent string, start, end time.Duration, change ...func(*pod.Span)) pod.Span {
	s := pod.Span{Span: startup.Span{Name: name, Key: name, ParentKey: parent, Start: created.Add(start), End: created.Add(end)}, Open: end == 0, Exact: true}
	for _, f := range change {
		f(&s)
	}
	return s
}

func coarse(s *pod.Span)    { s.Exact = false }
func witnessed(s *pod.Span) { s.Witnessed = true }

func TestWhatIsSentOfAStart(t *testing.T) {
	root := func(end time.Duration) pod.Span { return aSpan("pod_startup", "", 0, end) }
	for name, tc := range map[string]struct {
		start     pod.Timeline
		delivered []string
		settling  time.Duration // for how long what is coarse has waited
		witnessed int64
		saved     int64
		unheard   bool // a log is not read yet
		age       time.Duration
		sent      []string
		want      choice // but its spans
	}{
		"nothing while the first phase goes on": {
			start: pod.Timeline{Spans: []pod.Span{root(0), aSpan("pod_pending", "pod_startup", 0, 0)}}, age: 10 * time.Second,
			want: choice{again: 50 * time.Second},
		},
		"a phase that has ended, before the start is over": {
			start: pod.Timeline{Spans: []pod.Span{root(0), aSpan("pod_pending", "pod_startup", 0, time.Second), aSpan("image_pull", "pod_startup", time.Second, 0)}},
			age:   11 * time.Second, sent: []string{"pod_pending"}, want: choice{again: 50 * time.Second},
		},
		"no phase twice": {
			start:     pod.Timeline{Spans: []pod.Span{root(0), aSpan("pod_pending", "pod_startup", 0, time.Second), aSpan("image_pull", "pod_startup", time.Second, 0)}},
			delivered: []string{"pod_pending"}, age: 11 * time.Second, want: choice{again: 50 * time.Second},
		},
		"children before their parent, when the start is over": {
			start: pod.Timeline{Outcome: pod.Ready, Spans: []pod.Span{root(time.Minute), aSpan("pod_pending", "pod_startup", 0, time.Second)}},
			sent:  []string{"pod_pending", "pod_startup"}, want: choice{whole: true},
		},
		"while the log is not read, all but the root": {
			start: pod.Timeline{Outcome: pod.Ready, Spans: []pod.Span{root(time.Minute), aSpan("pod_pending", "pod_startup", 0, time.Second)}}, unheard: true,
			sent: []string{"pod_pending"}, want: choice{},
		},
		"what is coarse waits for its events": {
			start: pod.Timeline{Outcome: pod.Ready, Spans: []pod.Span{root(time.Minute), aSpan("pod_ready", "pod_startup", 0, time.Second, coarse)}},
			want:  choice{again: settle},
		},
		"but not for ever": {
			start:    pod.Timeline{Outcome: pod.Ready, Spans: []pod.Span{root(time.Minute), aSpan("pod_ready", "pod_startup", 0, time.Second, coarse)}},
			settling: settle, sent: []string{"pod_ready", "pod_startup"}, want: choice{whole: true},
		},
		"a time of our own clock is noted first, and the root waits": {
			start:     pod.Timeline{Outcome: pod.Deleted, Spans: []pod.Span{root(time.Minute), aSpan("pod_pending", "pod_startup", 0, time.Second, witnessed)}},
			witnessed: 5, want: choice{note: true},
		},
		"a time of our own clock that is noted": {
			start:     pod.Timeline{Outcome: pod.Deleted, Spans: []pod.Span{root(time.Minute), aSpan("pod_pending", "pod_startup", 0, time.Second, witnessed)}},
			witnessed: 5, saved: 5, sent: []string{"pod_pending", "pod_startup"}, want: choice{whole: true},
		},
		"a phase that has gone on for a minute": {
			start: pod.Timeline{Spans: []pod.Span{root(0), aSpan("pod_pending", "pod_startup", 0, 0)}}, age: time.Minute,
			sent: []string{"in_progress:pod_pending@1m0s"}, want: choice{again: 4 * time.Minute},
		},
		"only the innermost one, once, of the last mark it passed": {
			start: pod.Timeline{Spans: []pod.Span{root(0), aSpan("pod_pending", "pod_startup", 0, 0), aSpan("node_provisioning", "pod_pending", time.Minute, 0)}},
			age:   20 * time.Minute, sent: []string{"in_progress:node_provisioning@15m0s"}, want: choice{again: 41 * time.Minute},
		},
		"and nothing more after an hour": {
			start: pod.Timeline{Spans: []pod.Span{root(0), aSpan("pod_pending", "pod_startup", 0, 0)}}, age: 100 * time.Minute,
			delivered: []string{"in_progress:pod_pending@1h0m0s"}, want: choice{},
		},
		"nothing goes on once the start is over": {
			start: pod.Timeline{Outcome: pod.TimedOut, Spans: []pod.Span{root(2 * time.Hour), aSpan("pod_pending", "pod_startup", 0, 2*time.Hour)}},
			age:   2 * time.Hour, sent: []string{"pod_pending", "pod_startup"}, want: choice{whole: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := created.Add(tc.age)
			l := ledger{saved: pod.Witness{Gone: tc.saved}}
			for _, key := range tc.delivered {
				l.delivered = append(l.delivered, hashKey(key))
			}
			if tc.settling > 0 {
				for i := range tc.start.Spans {
					l.settling = append(l.settling, settling{hashKey(tc.start.Spans[i].Key), now.Add(-tc.settling)})
				}
			}
			got := l.choose(tc.start, pod.Witness{Gone: tc.witnessed}, tc.unheard, now)
			var sent []string
			for _, s := range got.spans {
				sent = append(sent, s.Key)
			}
			if !slices.Equal(sent, tc.sent) || got.whole != tc.want.whole || got.again != tc.want.again || got.note != tc.want.note {
				t.Errorf("sent %v whole %v again %s note %v, want %v whole %v again %s note %v",
					sent, got.whole, got.again, got.note, tc.sent, tc.want.whole, tc.want.again, tc.want.note)
			}
		})
	}
}

func TestAPhaseThatGoesOnIsAChildOfTheSpanThatWillReplaceIt(t *testing.T) {
	start := pod.Timeline{Spans: []pod.Span{aSpan("pod_startup", "", 0, 0), aSpan("image_pull", "pod_startup", 3*time.Second, 0)}}
	early, _ := start.InProgress(created.Add(64 * time.Second))
	late, _ := start.InProgress(created.Add(4 * time.Minute))
	if len(early) != 1 || len(late) != 1 || early[0].Key != late[0].Key || !early[0].End.Equal(late[0].End) {
		t.Fatalf("%+v\n%+v", early, late)
	}
	s := early[0]
	phase, _ := s.Attribute(startup.AttrPhase)
	if s.Name != startup.SpanInProgress || s.ParentKey != "image_pull" || s.Duration() != time.Minute || phase.AsString() != "image_pull" || s.Failure != "" {
		t.Errorf("%+v", s)
	}
	if ms := startup.Measurements(startup.Subject{}, s); ms != nil {
		t.Errorf("it is measured: %+v", ms)
	}
}
