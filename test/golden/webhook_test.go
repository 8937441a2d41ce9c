// SPDX-License-Identifier: Apache-2.0

package golden_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/pmezard/go-difflib/difflib"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/webhook"
)

// goldenNamespace is the one that the goldens were made in.
const goldenNamespace = "team-a"

// situation is what a fixture is injected under, besides the pod.
type situation struct {
	policy      *config.Policy
	annotations map[string]string
	volumes     bool
	refused     inject.Reason // why no image volume; empty: none
}

// situationOf reads a fixture's comment lines, as package inject's tests do.
func situationOf(t *testing.T, source string) *situation {
	t.Helper()
	s := &situation{annotations: map[string]string{}}
	var over, under map[string]any
	var lines strings.Builder
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "#policy: "); ok {
			lines.WriteString(text + "\n")
		}
		if text, ok := strings.CutPrefix(line, "#namespace: "); ok {
			key, value, _ := strings.Cut(text, ": ")
			s.annotations[key] = value
		}
		s.volumes = s.volumes || line == "#image-volumes"
		if line == "#image-volumes-refused" {
			s.refused = inject.ReasonRefused
		}
	}
	for text, into := range map[string]*map[string]any{lines.String(): &over, policyText: &under} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	for k, v := range over {
		fields, ok := v.(map[string]any)
		if !ok || under[k] == nil {
			under[k] = v
			continue
		}
		for name, value := range fields {
			under[k].(map[string]any)[name] = value
		}
	}
	whole, err := yaml.Marshal(under)
	if err != nil {
		t.Fatal(err)
	}
	if s.policy, err = config.Parse(whole); err != nil {
		t.Fatal(err)
	}
	return s
}

// served is the webhook, registered for the goldens' namespace, and what it was told and said last.
type served struct {
	situation atomic.Pointer[situation]
	decision  atomic.Pointer[inject.Decision]
}

func serveWebhook(t *testing.T, client *kubernetes.Clientset) *served {
	t.Helper()
	s := &served{}
	handler, err := webhook.NewHandler(webhook.Config{
		Version:       "test",
		Log:           logr.Discard(),
		Policy:        func() *config.Policy { return s.situation.Load().policy },
		Namespace:     func(string) map[string]string { return s.situation.Load().annotations },
		ImageVolumes:  func() bool { return s.situation.Load().volumes },
		NoImageVolume: func(string) inject.Reason { return s.situation.Load().refused },
		Observe:       func(_ *webhook.Candidate, d *inject.Decision) { s.decision.Store(d) },
		Timeout:       20 * time.Second, // of interest here is what is answered, not when
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	var (
		url    = server.URL + webhook.Path
		fail   = admissionv1.Fail
		none   = admissionv1.SideEffectClassNoneOnDryRun
		again  = admissionv1.IfNeededReinvocationPolicy
		within = int32(30)
	)
	configuration := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "coldtrace"},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: "inject.coldtrace.io", AdmissionReviewVersions: []string{"v1"}, FailurePolicy: &fail, SideEffects: &none,
			ReinvocationPolicy: &again, TimeoutSeconds: &within,
			ClientConfig: admissionv1.WebhookClientConfig{
				URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": goldenNamespace}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
	if _, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// probe is an endpoint by its label.
const probe = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"probe","labels":{"managed-by":"model-engine"}},"spec":{"containers":` +
	`[{"name":"main","image":"a","resources":{"limits":{"nvidia.com/gpu":"1"}}}]}}`

// enforce puts the goldens' namespace at a Pod Security level and waits until pods of that namespace come to the webhook.
func (s *served) enforce(t *testing.T, client *kubernetes.Clientset, level string, sample []byte) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: goldenNamespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": level}}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		if _, err := client.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.situation.Store(situationOf(t, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := create(ctx, client, goldenNamespace, sample, true)
		if err == nil && strings.Contains(string(got), config.StatusAnnotation) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the webhook is not called, or %s does not hold: %v", level, err)
		case <-tick.C:
		}
	}
}

func TestEveryGoldenPodComesThroughTheWebhookAsItsGolden(t *testing.T) {
	client := apiServer(t)
	s := serveWebhook(t, client)
	paths, err := filepath.Glob("../../inject/testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	byLevel := map[string][]string{}
	for _, path := range paths {
		before, _ := read(t, path)
		for _, level := range []string{"restricted", "privileged"} {
			if _, err := create(t.Context(), client, level, before, true); err == nil {
				byLevel[level] = append(byLevel[level], path)
				break
			}
		}
	}
	for _, level := range []string{"restricted", "privileged"} {
		sample := []byte(probe)
		if level == "restricted" {
			sample, _ = read(t, "../../inject/testdata/restricted.yaml")
		}
		s.enforce(t, client, level, sample)
		for _, path := range byLevel[level] {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) { s.compare(t, client, path) })
		}
	}
	t.Logf("%d pods at restricted, %d at privileged", len(byLevel["restricted"]), len(byLevel["privileged"]))
}

// compare creates a pod through the webhook and its golden past it, then what came back through the webhook again.
func (s *served) compare(t *testing.T, client *kubernetes.Clientset, path string) {
	before, source := read(t, path)
	after, _ := read(t, path+".injected")
	s.situation.Store(situationOf(t, source))
	want, err := create(t.Context(), client, "privileged", after, true)
	if err != nil {
		t.Fatalf("the golden is refused: %v", err)
	}
	got, err := create(t.Context(), client, goldenNamespace, before, false)
	if err != nil {
		t.Fatalf("refused through the webhook: %v", err)
	}
	if diff := difference(t, ownPart(t, want), ownPart(t, got)); diff != "" {
		t.Errorf("through the webhook it is another pod (-golden +webhook):\n%s", diff)
	}
	second := ownPart(t, got)
	metadata := second["metadata"].(map[string]any)
	metadata["generateName"] = "again-"
	var first struct{ Metadata map[string]any }
	if err := json.Unmarshal(before, &first); err != nil {
		t.Fatal(err)
	}
	if fields := first.Metadata["managedFields"]; fields != nil { // it is applied again, which takes a name
		metadata["managedFields"], metadata["name"] = fields, "again"
		delete(metadata, "generateName")
	}
	second["apiVersion"], second["kind"] = "v1", "Pod"
	raw, err := json.Marshal(second)
	if err != nil {
		t.Fatal(err)
	}
	again, err := create(t.Context(), client, goldenNamespace, raw, false)
	if err != nil {
		t.Fatalf("refused the second time: %v", err)
	}
	if diff := difference(t, ownPart(t, got), ownPart(t, again)); diff != "" {
		t.Errorf("the second time it is another pod (-first +second):\n%s", diff)
	}
	if d := s.decision.Load(); d.Outcome == inject.Injected || d.Outcome == inject.Failed {
		t.Errorf("the second time it is %+v", d)
	}
	if err := client.CoreV1().Pods(goldenNamespace).DeleteCollection(t.Context(), *metav1.NewDeleteOptions(0), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
}

// ownPart is of a pod what its author and the webhook wrote, and defaults.
func ownPart(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var pod struct {
		Metadata struct {
			Labels      map[string]any `json:"labels"`
			Annotations map[string]any `json:"annotations"`
			Owners      any            `json:"ownerReferences"`
		} `json:"metadata"`
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}
	metadata := map[string]any{"labels": pod.Metadata.Labels, "annotations": pod.Metadata.Annotations}
	if pod.Metadata.Owners != nil {
		metadata["ownerReferences"] = pod.Metadata.Owners
	}
	return map[string]any{"metadata": metadata, "spec": pod.Spec}
}

// difference is empty for pods that are equal.
func difference(t *testing.T, a, b map[string]any) string {
	t.Helper()
	var lines [2][]string
	for i, pod := range []map[string]any{a, b} {
		text, err := yaml.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = difflib.SplitLines(string(text))
	}
	diff, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: lines[0], B: lines[1], Context: 2})
	if err != nil {
		t.Fatal(err)
	}
	return diff
}
