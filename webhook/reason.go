// SPDX-License-Identifier: Apache-2.0

package webhook

import "github.com/coldtrace/coldtrace/inject"

// Reasons of the adapter itself; those of the decision are package inject's.
const (
	ReasonTooLarge   inject.Reason = "body-too-large"
	ReasonOverloaded inject.Reason = "overloaded"
	ReasonStarting   inject.Reason = "starting"
	ReasonDeadline   inject.Reason = "deadline"
)

// Vocabulary are the adapter's reasons, beside inject.Vocabulary.
var Vocabulary = []inject.Explanation{
	{Reason: ReasonTooLarge, Meaning: "The admission review is larger than the limit; the pod was admitted as it came.", Advice: "Raise `webhook.maxBodyBytes` if pods of this size are wanted."},
	{Reason: ReasonOverloaded, Meaning: "Too many admissions were under way; the pod was admitted as it came.", Advice: "Raise `replicas` or `webhook.maxConcurrent`."},
	{Reason: ReasonStarting, Meaning: "coldtrace had not finished starting in time; the pod was admitted as it came.", Advice: ""},
	{Reason: ReasonDeadline, Meaning: "The decision took longer than the API server waits; the pod was admitted as it came.", Advice: "Report it with the webhook's log."},
}

// reasonOther stands for a reason outside both vocabularies, so that a metric's label stays bounded.
const reasonOther = "other"

var knownReasons = func() map[inject.Reason]bool {
	known := map[inject.Reason]bool{}
	for _, v := range [][]inject.Explanation{inject.Vocabulary, Vocabulary} {
		for _, e := range v {
			known[e.Reason] = true
		}
	}
	return known
}()

func reasonLabel(r inject.Reason) string {
	if r != "" && !knownReasons[r] {
		return reasonOther
	}
	return string(r)
}

// advice is what an operator should know about a reason, empty if it calls for nothing.
func advice(r inject.Reason) string {
	for _, v := range [][]inject.Explanation{inject.Vocabulary, Vocabulary} {
		for _, e := range v {
			if e.Reason == r {
				return e.Advice
			}
		}
	}
	return ""
}
