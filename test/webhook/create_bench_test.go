// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkCreate creates the same pod in three namespaces of one real API server, in turns: one that nothing watches, one
// where a MutatingAdmissionPolicy adds the same variables as the webhook would (it can do no more), and one where the
// webhook injects, over its own TLS, through failurePolicy Fail. An operation is one pod in each. The pods have so many
// variables of their own as the name says.
func BenchmarkCreate(b *testing.B) {
	install(b, 1, nil, "webhook.failurePolicy=Fail")
	arms := []string{"plain", "policy", "webhook"}
	namespaces := []string{"plain-" + randomName(), "policy-" + randomName(), labelled(b)}
	makeNamespace(b, namespaces[0], nil)
	makeNamespace(b, namespaces[1], map[string]string{policyLabel: "on"})
	addEnvByPolicy(b)
	for _, namespace := range namespaces[1:] {
		eventually(b, time.Minute, "pods changed in "+namespace, func(ctx context.Context) error {
			pod, err := create(ctx, namespace, podWithEnv(1), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil && !injected(pod) {
				err = errors.New("the pod came back as it was")
			}
			return err
		})
	}
	for _, variables := range []int{10, 100, 400} {
		b.Run(fmt.Sprintf("env=%d", variables), func(b *testing.B) {
			took := make([][]time.Duration, len(arms))
			round := 0
			for b.Loop() {
				for i := range arms {
					arm := (i + round) % len(arms)
					took[arm] = append(took[arm], createOne(b, namespaces[arm], arm > 0, variables))
				}
				round++
			}
			for i, arm := range arms {
				slices.Sort(took[i])
				b.ReportMetric(milliseconds(percentile(took[i], 50)), arm+"-p50-ms")
				b.ReportMetric(milliseconds(percentile(took[i], 99)), arm+"-p99-ms")
				if i > 0 {
					b.ReportMetric(milliseconds(percentile(took[i], 50)-percentile(took[0], 50)), arm+"-adds-ms")
				}
			}
		})
	}
}

// createOne times one create and deletes the pod again, which is not timed.
func createOne(b *testing.B, namespace string, changed bool, variables int) time.Duration {
	b.Helper()
	pod := podWithEnv(variables)
	began := time.Now()
	made, err := create(b.Context(), namespace, pod, metav1.CreateOptions{})
	took := time.Since(began)
	must(b, err)
	if injected(made) != changed {
		b.Fatalf("a pod in %s is injected: %t", namespace, !changed)
	}
	must(b, suite.client.CoreV1().Pods(namespace).Delete(b.Context(), made.Name, *metav1.NewDeleteOptions(0)))
	return took
}

func podWithEnv(variables int) *corev1.Pod {
	pod := endpointPod("start-" + randomName())
	main := &pod.Spec.Containers[1]
	for i := range variables {
		main.Env = append(main.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: fmt.Sprintf("https://service-%d.example.test/path", i)})
	}
	return pod
}

// percentile takes sorted values.
func percentile(sorted []time.Duration, p int) time.Duration { return sorted[(len(sorted)-1)*p/100] }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

const policyLabel = "bench.coldtrace.io/policy"

// addEnvByPolicy is what of an injection the API server can do by itself: variables that are the same for every pod.
func addEnvByPolicy(b *testing.B) {
	b.Helper()
	const (
		env   = "Object.spec.containers.env"
		add   = `JSONPatch{op: "add", path: "/spec/containers/1/env/-", value: ` + env + "{%s}}" // main is the second container
		field = env + ".valueFrom{fieldRef: " + env + `.valueFrom.fieldRef{fieldPath: "%s"}}`
	)
	var patches []string
	for name, path := range map[string]string{"POD_UID": "metadata.uid", "POD_NAME": "metadata.name", "NODE_NAME": "spec.nodeName"} {
		patches = append(patches, fmt.Sprintf(add, fmt.Sprintf(`name: "%s", valueFrom: `+field, name, path)))
	}
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.test:4317",
		"OTEL_TRACES_SAMPLER":         "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01",
	} {
		patches = append(patches, fmt.Sprintf(add, fmt.Sprintf(`name: "%s", value: "%s"`, name, value)))
	}
	api, name := suite.client.AdmissionregistrationV1(), "bench-"+randomName()
	_, err := api.MutatingAdmissionPolicies().Create(b.Context(), &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      new(admissionv1.Fail),
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{policyLabel: "on"}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}}},
			},
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: "[" + strings.Join(patches, ", ") + "]"},
			}},
		},
	}, metav1.CreateOptions{})
	must(b, err)
	_, err = api.MutatingAdmissionPolicyBindings().Create(b.Context(), &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
	}, metav1.CreateOptions{})
	must(b, err)
	b.Cleanup(func() {
		ctx := context.Background()
		_ = api.MutatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{}) // the API server ends with the tests
		_ = api.MutatingAdmissionPolicies().Delete(ctx, name, metav1.DeleteOptions{})
	})
}
