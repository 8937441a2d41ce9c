// SPDX-License-Identifier: Apache-2.0

package inject

import "github.com/coldtrace/coldtrace/endpoint"

// Outcome is what was decided for a pod.
type Outcome string

// Outcomes.
const (
	Injected Outcome = "injected" // at least one feature was applied
	Skipped  Outcome = "skipped"  // the pod stays as it came
	Already  Outcome = "already"  // an earlier pass did all there is to do
	Failed   Outcome = "failed"   // an error of ours; the pod stays as it came
)

// Feature is a part of the injection.
type Feature string

// Features.
const (
	FeatureEnv      Feature = "env"
	FeatureWrapper  Feature = "wrapper"
	FeatureVLLMFlag Feature = "vllm-flag"
	FeatureSampling Feature = "request-sampling"
)

// Reason is why something was done or left.
type Reason = endpoint.Reason

// Note is a reason with what it was about.
type Note struct {
	Reason Reason `json:"reason"`
	// Detail names the field, container or value. It never holds a command line, an env value or a secret.
	Detail string `json:"detail,omitempty"`
}

// Decision is what was decided for one pod and why. One value feeds the annotation, the Event, the admission warning and
// audit annotation, the metric and the log.
type Decision struct {
	Version   string    `json:"version"`
	Outcome   Outcome   `json:"outcome"`
	Container string    `json:"container,omitempty"` // the target
	Features  []Feature `json:"features,omitempty"`
	Notes     []Note    `json:"reasons,omitempty"`
	Warnings  []string  `json:"-"` // for the person who created the pod: bad annotations and the like
}
