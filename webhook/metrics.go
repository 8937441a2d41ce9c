// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/coldtrace/coldtrace/inject"
)

// The metrics of admission and of what an operator wants to be alarmed by, registered once per process. No label holds anything that a
// user can name.
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
	leafExpiry = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "coldtrace_certificate_expiry_timestamp_seconds",
		Help: "When the serving certificate expires, in seconds since 1970; 0 without one.",
	})
	policyGood = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "coldtrace_policy_good",
		Help: "1 if the policy file was good when last read, 0 if an older one is in use because it was not.",
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

// ObserveExpiry sets the certificate's metric.
func ObserveExpiry(notAfter time.Time) {
	if notAfter.IsZero() {
		leafExpiry.Set(0)
		return
	}
	leafExpiry.Set(float64(notAfter.Unix()))
}

// ObservePolicy sets the policy's metric.
func ObservePolicy(err error) {
	if err != nil {
		policyGood.Set(0)
		return
	}
	policyGood.Set(1)
}
