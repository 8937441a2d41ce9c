// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/coldtrace/coldtrace/inject"
)

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
