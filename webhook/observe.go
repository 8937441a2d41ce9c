// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/coldtrace/coldtrace/inject"
)

// observe makes a decision known in the log, the metric and the Event; the answer itself carries the warning and the
// audit annotation, the patch the pod's annotation. A dry run leaves no trace.
func (h *Handler) observe(s *Candidate, d *inject.Decision) {
	if s.DryRun {
		return
	}
	decided(d)
	level := 1
	if d.Outcome == inject.Injected || d.Outcome == inject.Failed {
		level = 0
	}
	if log := h.config.Log.V(level); log.Enabled() {
		log.Info("Decided about a pod", "namespace", s.Namespace, "pod", s.Pod, "owner", s.Owner.Name,
			"outcome", d.Outcome, "container", d.Container, "features", d.Features, "reasons", d.Notes)
	}
	if h.config.Observe != nil {
		h.config.Observe(s, d)
	}
}

// Events writes decisions to the pods' owners, behind the admission path: kubectl describe shows them there, where the
// person looks who misses a trace. The recorder counts repeats, and lets one owner have 25 Events at once and one in five
// minutes after that.
func Events(recorder record.EventRecorder) func(*Candidate, *inject.Decision) {
	return func(s *Candidate, d *inject.Decision) {
		if s.DryRun || s.Owner.UID == "" || d.Outcome == inject.Already {
			return
		}
		reason, kind, text := "ColdtraceInjected", corev1.EventTypeNormal, "Pods are traced from creation to ready: "
		switch d.Outcome {
		case inject.Skipped:
			reason, text = "ColdtraceSkipped", "Pods are left as they are: "
		case inject.Failed:
			reason, kind, text = "ColdtraceFailed", corev1.EventTypeWarning, "A pod was admitted unchanged: "
		}
		recorder.Event(&corev1.ObjectReference{
			APIVersion: s.Owner.APIVersion, Kind: s.Owner.Kind, Name: s.Owner.Name, UID: types.UID(s.Owner.UID), Namespace: s.Namespace,
		}, kind, reason, text+reasons(d))
	}
}

// primary is the reason that stands for a decision where there is room for one.
func primary(d *inject.Decision) inject.Reason {
	if len(d.Notes) == 0 {
		return ""
	}
	return d.Notes[0].Reason
}

// warnings are what the person who creates the pod should see: what is wrong with annotations, and every reason that
// calls for something to be done. The API server cuts all warnings of one answer at 4096 characters.
func warnings(d *inject.Decision) []string {
	const most = 8
	out := d.Warnings
	for _, n := range d.Notes {
		if len(out) >= most {
			break
		}
		if n.Reason == inject.ReasonAnnotation { // is among d.Warnings, in full
			continue
		}
		explained, _ := inject.Explain(n.Reason)
		advice := explained.Advice
		if d.Outcome != inject.Failed && (d.Outcome == inject.Already || advice == "") {
			continue
		}
		text := "coldtrace: " + string(n.Reason)
		if n.Detail != "" {
			text += " (" + n.Detail + ")"
		}
		if d.Outcome == inject.Failed {
			text += ": the pod was admitted unchanged"
		} else if advice != "" {
			text += ": " + advice
		}
		out = append(out, text)
	}
	return out
}

// audit are the audit annotations; the API server puts the webhook's name before the keys.
func audit(d *inject.Decision) map[string]string {
	out := map[string]string{"outcome": string(d.Outcome), "reasons": reasons(d)}
	if len(d.Features) > 0 {
		var features []string
		for _, f := range d.Features {
			features = append(features, string(f))
		}
		out["features"] = strings.Join(features, ",")
	}
	return out
}

func reasons(d *inject.Decision) string {
	var out []string
	for _, n := range d.Notes {
		text := string(n.Reason)
		if n.Detail != "" {
			text += "(" + n.Detail + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ",")
}
