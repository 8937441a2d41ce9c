// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/coldtrace/coldtrace/inject"
)

// The admission metrics, registered once per process. No label holds anything that a user can name.
var (
	decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "coldtrace_admission_decisions_total",
		Help: "Pods decided about, by outcome and the first reason.",
	}, []string{"outcome", "reason"})
	features = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "coldtrace_admission_features_total",
		Help: "Features applied to pods.",
	}, []string{"feature"})
	duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "coldtrace_admission_duration_seconds",
		Help:    "Time from the request's header to the answer.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 1, 2},
	})
	patchSize = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "coldtrace_admission_patch_bytes",
		Help:    "Size of the JSON patches, of pods that were changed.",
		Buckets: prometheus.ExponentialBuckets(256, 2, 8),
	})
)

func init() {
	ctrlmetrics.Registry.MustRegister(decisions, features, duration, patchSize, lookups, leafExpiry, policyGood, evictions)
}

// reasonLabel is a reason, or one word for all that are not documented, so that a metric's label stays bounded.
func reasonLabel(r inject.Reason) string {
	if _, known := inject.Explain(r); r != "" && !known {
		return "other"
	}
	return string(r)
}

func decided(d *inject.Decision) {
	decisions.WithLabelValues(string(d.Outcome), reasonLabel(primary(d))).Inc()
	for _, f := range d.Features {
		features.WithLabelValues(string(f)).Inc()
	}
}

func answered(patchBytes int, took time.Duration) {
	duration.Observe(took.Seconds())
	if patchBytes > 0 {
		patchSize.Observe(float64(patchBytes))
	}
}
