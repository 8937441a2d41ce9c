// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What an operator wants to be alarmed by.
var (
	leafExpiry = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "coldtrace_certificate_expiry_timestamp_seconds",
		Help: "When the serving certificate expires, in seconds since 1970; 0 without one.",
	})
	policyGood = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "coldtrace_policy_good",
		Help: "1 if the policy file was good when last read, 0 if an older one is in use because it was not.",
	})
)

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
