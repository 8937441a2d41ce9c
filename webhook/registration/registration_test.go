// SPDX-License-Identifier: Apache-2.0

package registration

import (
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

const installed = `
- name: inject.coldtrace.io
  admissionReviewVersions: [v1]
  clientConfig: {service: {name: coldtrace, namespace: ns, path: /inject}}
  failurePolicy: Ignore
  timeoutSeconds: 2
  sideEffects: NoneOnDryRun
  rules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
  namespaceSelector: {matchLabels: {coldtrace.io/inject: enabled}}
  matchConditions: [{name: has-gpu, expression: "true"}]
`

func TestEachEditIsNamed(t *testing.T) {
	fail, never, ten := admissionv1.Fail, admissionv1.IfNeededReinvocationPolicy, int32(10)
	exact, none, url := admissionv1.Exact, admissionv1.SideEffectClassNone, "https://elsewhere.test/inject"
	for name, c := range map[string]struct {
		edit func(*admissionv1.MutatingWebhook)
		want []Field
	}{
		"nothing":                 {func(*admissionv1.MutatingWebhook) {}, nil},
		"the CA bundle":           {func(w *admissionv1.MutatingWebhook) { w.ClientConfig.CABundle = []byte("x") }, nil},
		"the API's defaults":      {setDefaults, nil},
		"another failure policy":  {func(w *admissionv1.MutatingWebhook) { w.FailurePolicy = &fail }, []Field{"failurePolicy"}},
		"another timeout":         {func(w *admissionv1.MutatingWebhook) { w.TimeoutSeconds = &ten }, []Field{"timeoutSeconds"}},
		"no rules":                {func(w *admissionv1.MutatingWebhook) { w.Rules = nil }, []Field{"rules"}},
		"all namespaces":          {func(w *admissionv1.MutatingWebhook) { w.NamespaceSelector = nil }, []Field{"namespaceSelector"}},
		"no conditions":           {func(w *admissionv1.MutatingWebhook) { w.MatchConditions = nil }, []Field{"matchConditions"}},
		"reinvocation":            {func(w *admissionv1.MutatingWebhook) { w.ReinvocationPolicy = &never }, []Field{"reinvocationPolicy"}},
		"another name":            {func(w *admissionv1.MutatingWebhook) { w.Name = "x" }, []Field{Missing}},
		"another service":         {func(w *admissionv1.MutatingWebhook) { w.ClientConfig.Service.Name = "x" }, []Field{"clientConfig"}},
		"a URL":                   {func(w *admissionv1.MutatingWebhook) { w.ClientConfig.URL = &url }, []Field{"clientConfig"}},
		"exact matches":           {func(w *admissionv1.MutatingWebhook) { w.MatchPolicy = &exact }, []Field{"matchPolicy"}},
		"other side effects":      {func(w *admissionv1.MutatingWebhook) { w.SideEffects = &none }, []Field{"sideEffects"}},
		"another review version":  {func(w *admissionv1.MutatingWebhook) { w.AdmissionReviewVersions = []string{"v1beta1"} }, []Field{"admissionReviewVersions"}},
		"two edits, in one order": {func(w *admissionv1.MutatingWebhook) { w.TimeoutSeconds, w.Rules = &ten, nil }, []Field{"rules", "timeoutSeconds"}},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := Parse(installed)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(installed)
			if err != nil {
				t.Fatal(err)
			}
			c.edit(&got[0])
			if found := Differences(want, got); !slices.Equal(found, c.want) {
				t.Errorf("found %v, want %v", found, c.want)
			}
		})
	}
	want, err := Parse(installed)
	if err != nil {
		t.Fatal(err)
	}
	if found := Differences(want, nil); !slices.Equal(found, []Field{Missing}) {
		t.Errorf("without a configuration: %v", found)
	}
	for _, bad := range []string{"", "[]", "- name: {"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q should be an error", bad)
		}
	}
}
