// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// NoticeReason is the reason of the Event that tells on a pod how its start went.
const NoticeReason = "ColdStartTraced"

// Bounds of notices, of all pods: Events are the API server's to keep. Of one pod client-go merges those that come often.
const (
	noticesASec   = 10
	noticesAtOnce = 200
	maxNamed      = 3 // phases
)

// notify writes an Event on the pod for what was delivered: of a start that is over, and of each attempt that failed
// before. The caller holds the lock; the recorder does not wait.
func (w *Watcher) notify(s *start, p *parcel) {
	if w.cfg.Events == nil || !w.cfg.Policy().PodEvents || p.compared {
		return
	}
	n := noticeOf(s, p)
	switch {
	case n.text == "":
	case !w.notices.AllowN(w.cfg.Clock.Now(), 1):
		w.metrics.notices.WithLabelValues("limited").Inc()
	default:
		ref := &corev1.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: s.subject.Namespace, Name: s.subject.PodName, UID: types.UID(s.subject.PodUID),
		}
		w.cfg.Events.Event(ref, n.kind, NoticeReason, n.text)
		w.metrics.notices.WithLabelValues("written").Inc()
	}
}

// notice is an Event.
type notice struct{ kind, text string }

// noticeOf is what a parcel is worth telling.
func noticeOf(s *start, p *parcel) notice {
	var inside []startup.Span
	if s.inside.tells() {
		for _, r := range s.inside.runs {
			inside = append(inside, r.spans...)
		}
	}
	if p.whole {
		root := &p.timeline.Spans[0]
		return noticeFor(s, string(p.timeline.Outcome), root.Span, slices.Concat(pod.Finished(p.timeline.Spans), inside))
	}
	if i := slices.IndexFunc(p.spans, func(sp startup.Span) bool { return s.ends(&sp, p) }); i >= 0 {
		sp := p.spans[i]
		of := sp.Get(startup.AttrAttempt)
		return noticeFor(s, fmt.Sprintf("attempt %d failed", max(1, of.AsInt64())), sp, slices.DeleteFunc(slices.Clone(p.spans), func(o startup.Span) bool {
			return o.Get(startup.AttrAttempt) != of
		}))
	}
	return notice{}
}

// ends tells whether a span is that of an attempt that failed, while the start goes on.
func (s *start) ends(sp *startup.Span, p *parcel) bool {
	_, exited := sp.Attribute(startup.AttrExitCode)
	whole := startup.SpanPodReady
	if s.inside.tells() {
		whole = startup.SpanStartup
	}
	return sp.Name == whole && sp.Failure != "" && exited && p.timeline.Outcome == pod.Open
}

// noticeFor is the Event for a span and those that it is made of.
func noticeFor(s *start, what string, whole startup.Span, spans []startup.Span) notice {
	n := notice{kind: corev1.EventTypeNormal, text: fmt.Sprintf("%s after %s", what, took(whole.Duration()))}
	if whole.Failure != "" && what != string(pod.Deleted) {
		n.kind = corev1.EventTypeWarning
	}
	if why := reasonOf(whole, spans); why != "" && why != what {
		n.text += " (" + why + ")"
	}
	if longest := longest(spans); longest != "" {
		n.text += ": " + longest
	}
	n.text += "; trace " + s.subject.SpanContext(whole.Key).TraceID().String()
	return n
}

// reasonOf is why a span failed: what its container's log says of its last run, if it does.
func reasonOf(whole startup.Span, spans []startup.Span) string {
	why := whole.Failure
	for _, sp := range spans {
		if sp.Name == startup.SpanStartup && sp.Failure != "" && why.Kind() == startup.ReasonExitCode {
			why = sp.Failure
		}
	}
	return string(why)
}

// longest names the phases that took longest, of those that are made of no others.
func longest(spans []startup.Span) string {
	parents, told := map[string]bool{}, false
	for i := range spans {
		parents[spans[i].ParentKey] = true
		told = told || spans[i].Name == startup.SpanStartup
	}
	leaves := slices.DeleteFunc(slices.Clone(spans), func(sp startup.Span) bool {
		switch sp.Name {
		case startup.SpanPodStartup, startup.SpanStartup, startup.SpanInProgress:
			return true
		case startup.SpanPodReady:
			return told // what it is made of is there
		}
		return parents[sp.Key] || sp.Duration() < 100*time.Millisecond
	})
	slices.SortStableFunc(leaves, func(a, b startup.Span) int { return cmp.Compare(b.Duration(), a.Duration()) })
	var named []string
	for _, sp := range leaves[:min(maxNamed, len(leaves))] {
		named = append(named, sp.Name+" "+took(sp.Duration()))
	}
	return strings.Join(named, ", ")
}

// took is a duration as people say it: 25.8 s, 1m59s.
func took(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
