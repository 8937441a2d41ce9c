// SPDX-License-Identifier: Apache-2.0

// Package registration tells when the webhook configuration in the API server is not what was installed.
//
// Somebody may have had a reason to edit it, and a tool that edits it back fights with people and with Helm. So edits are
// reported, by a metric, a log line and an Event, and `helm upgrade` undoes them. Only the CA bundle is healed, by
// package certificate: nobody else can know it.
package registration

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"
)

// Key is the ConfigMap's key under which the chart keeps the webhooks as it installed them, a YAML list.
const Key = "webhooks.yaml"

// Field is what differs.
type Field string

// Missing stands for a webhook, or the whole configuration, that is not there.
const Missing Field = "missing"

// fields are compared, each by what it is in the API. The CA bundle is none of them.
var fields = []struct {
	name  Field
	value func(*admissionv1.MutatingWebhook) any
}{
	{"clientConfig", func(w *admissionv1.MutatingWebhook) any {
		return admissionv1.WebhookClientConfig{URL: w.ClientConfig.URL, Service: w.ClientConfig.Service}
	}},
	{"rules", func(w *admissionv1.MutatingWebhook) any { return w.Rules }},
	{"failurePolicy", func(w *admissionv1.MutatingWebhook) any { return w.FailurePolicy }},
	{"timeoutSeconds", func(w *admissionv1.MutatingWebhook) any { return w.TimeoutSeconds }},
	{"namespaceSelector", func(w *admissionv1.MutatingWebhook) any { return w.NamespaceSelector }},
	{"objectSelector", func(w *admissionv1.MutatingWebhook) any { return w.ObjectSelector }},
	{"matchConditions", func(w *admissionv1.MutatingWebhook) any { return w.MatchConditions }},
	{"matchPolicy", func(w *admissionv1.MutatingWebhook) any { return w.MatchPolicy }},
	{"reinvocationPolicy", func(w *admissionv1.MutatingWebhook) any { return w.ReinvocationPolicy }},
	{"sideEffects", func(w *admissionv1.MutatingWebhook) any { return w.SideEffects }},
	{"admissionReviewVersions", func(w *admissionv1.MutatingWebhook) any { return w.AdmissionReviewVersions }},
}

// Fields are all that can differ, in order.
func Fields() []Field {
	out := []Field{Missing}
	for _, f := range fields {
		out = append(out, f.name)
	}
	return out
}

// Parse reads the webhooks as they were installed.
func Parse(text string) ([]admissionv1.MutatingWebhook, error) {
	var hooks []admissionv1.MutatingWebhook
	if err := yaml.Unmarshal([]byte(text), &hooks); err != nil {
		return nil, fmt.Errorf("parse %s: %w", Key, err)
	}
	if len(hooks) == 0 {
		return nil, fmt.Errorf("parse %s: no webhook in it", Key)
	}
	return hooks, nil
}

// Differences are the fields in which webhooks are not as wanted. What is not said counts as the API's default.
func Differences(want, got []admissionv1.MutatingWebhook) []Field {
	differs := map[Field]bool{}
	for i := range want {
		w := want[i].DeepCopy()
		setDefaults(w)
		g := find(got, w.Name)
		if g == nil {
			differs[Missing] = true
			continue
		}
		for _, f := range fields {
			if !equality.Semantic.DeepEqual(f.value(w), f.value(g)) {
				differs[f.name] = true
			}
		}
	}
	var out []Field
	for _, f := range Fields() {
		if differs[f] {
			out = append(out, f)
		}
	}
	return out
}

func find(hooks []admissionv1.MutatingWebhook, name string) *admissionv1.MutatingWebhook {
	for i := range hooks {
		if hooks[i].Name == name {
			g := hooks[i].DeepCopy()
			setDefaults(g)
			return g
		}
	}
	return nil
}
