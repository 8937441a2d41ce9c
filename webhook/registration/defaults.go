// SPDX-License-Identifier: Apache-2.0

package registration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// setDefaults does what the API server does to an admissionregistration.k8s.io/v1 webhook.
func setDefaults(w *admissionv1.MutatingWebhook) {
	orElse(&w.FailurePolicy, admissionv1.Fail)
	orElse(&w.MatchPolicy, admissionv1.Equivalent)
	orElse(&w.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
	orElse(&w.TimeoutSeconds, 10)
	orElse(&w.NamespaceSelector, metav1.LabelSelector{})
	orElse(&w.ObjectSelector, metav1.LabelSelector{})
	for i := range w.Rules {
		orElse(&w.Rules[i].Scope, admissionv1.AllScopes)
	}
	if w.ClientConfig.Service != nil {
		orElse(&w.ClientConfig.Service.Port, 443)
	}
}

func orElse[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
