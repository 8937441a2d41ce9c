// SPDX-License-Identifier: Apache-2.0

// Package charts_test renders the chart with Helm and reads what comes out as the API server would, strictly.
package charts_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/test/assets"
)

var update = flag.Bool("update", false, "rewrite README.md")

const everything = "collector.enabled=true,collector.datadog.enabled=true,traceVolume.enabled=true,serviceMonitor.enabled=true," +
	"prometheusRule.enabled=true,webhook.clientCA=ca,priorityClassName=high,imagePullSecrets={a},verbose=true"

// shapes are the ways to install the chart that the other tests look at.
var shapes = map[string][]string{
	"defaults":                nil,
	"everything":              {everything},
	"cert-manager":            {"certManager.enabled=true"},
	"cert-manager, issuer":    {"certManager.enabled=true", "certManager.issuerRef.name=x", "certManager.issuerRef.kind=ClusterIssuer"},
	"one replica, Fail":       {"replicas=1", "webhook.failurePolicy=Fail"},
	"collector, another OTLP": {"collector.enabled=true", "otlp.endpoint=http://elsewhere:4317"},
	"watch only":              {"webhook.enabled=false", "prometheusRule.enabled=true"},
	"watch only, all logs":    {"webhook.enabled=false", "logs.namespaces={*}", "certManager.enabled=true"},
	"logs":                    {"logs.namespaces={models}"},
	"trace volume": {
		"traceVolume.enabled=true", "traceVolume.datadogAgent.enabled=true", "traceVolume.istio.telemetry.enabled=true",
		"traceVolume.istio.gateway.enabled=true", "traceVolume.istio.gateway.routes[0].route=polls", "traceVolume.istio.gateway.routes[0].keepPercent=1",
	},
}

func helm(t *testing.T, args ...string) (string, string, error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(assets.Need(t), "helm"), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	return out.String(), errs.String(), err
}

func render(t *testing.T, values []string, more ...string) [][]byte {
	t.Helper()
	args := append([]string{"template", "coldtrace", "coldtrace", "--namespace", "ns"}, more...)
	for _, v := range values {
		args = append(args, "--set", v)
	}
	out, errs, err := helm(t, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	var docs [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(out)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
}

// kinds are what the chart may render, with the types that read them strictly; nil: a custom resource.
var kinds = map[string]func() any{
	"ServiceAccount":               func() any { return &corev1.ServiceAccount{} },
	"ConfigMap":                    func() any { return &corev1.ConfigMap{} },
	"Secret":                       func() any { return &corev1.Secret{} },
	"Service":                      func() any { return &corev1.Service{} },
	"Pod":                          func() any { return &corev1.Pod{} },
	"Deployment":                   func() any { return &appsv1.Deployment{} },
	"DaemonSet":                    func() any { return &appsv1.DaemonSet{} },
	"ClusterRole":                  func() any { return &rbacv1.ClusterRole{} },
	"ClusterRoleBinding":           func() any { return &rbacv1.ClusterRoleBinding{} },
	"Role":                         func() any { return &rbacv1.Role{} },
	"RoleBinding":                  func() any { return &rbacv1.RoleBinding{} },
	"NetworkPolicy":                func() any { return &networkingv1.NetworkPolicy{} },
	"PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"MutatingWebhookConfiguration": func() any { return &admissionv1.MutatingWebhookConfiguration{} },
	"ServiceMonitor":               nil, "PrometheusRule": nil, "Certificate": nil, "Issuer": nil, "Telemetry": nil, "EnvoyFilter": nil,
}

func TestEveryShapeIsReadStrictly(t *testing.T) {
	for name, values := range shapes {
		t.Run(name, func(t *testing.T) {
			for _, doc := range render(t, values) {
				var meta metav1.TypeMeta
				if err := yaml.Unmarshal(doc, &meta); err != nil {
					t.Fatal(err)
				}
				object, known := kinds[meta.Kind]
				if !known {
					t.Errorf("kind %q", meta.Kind)
				}
				if object == nil {
					continue
				}
				if err := yaml.UnmarshalStrict(doc, object()); err != nil {
					t.Errorf("%s: %v\n%s", meta.Kind, err, doc)
				}
			}
		})
	}
}

// A release, a namespace or a Secret may be called by a number, and a number may be large.
func TestWhatLooksLikeAnotherTypeStaysWhatItIs(t *testing.T) {
	odd := filepath.Join(t.TempDir(), "values.yaml")
	must(t, os.WriteFile(odd, []byte(`
imagePullSecrets: ["123", "true"]
priorityClassName: "1000"
webhook: {clientCA: "007", maxConcurrent: 2000000}
logs: {namespaces: ["12"]}
pullSecretNamespaces: ["34"]
collector: {enabled: true}
traceVolume:
  enabled: true
  istio:
    telemetry: {enabled: true, namespace: "12", providers: ["1"]}
    gateway: {enabled: true, namespace: "true", routes: [{route: "1", keepPercent: 1}]}
`), 0o600))
	for name, more := range map[string][]string{"own CA": nil, "cert-manager": {"--set", "certManager.enabled=true"}} {
		t.Run(name, func(t *testing.T) {
			out, errs, err := helm(t, append([]string{"template", "123", "coldtrace", "--namespace", "1234", "--values", odd}, more...)...)
			if err != nil {
				t.Fatalf("%v: %s", err, errs)
			}
			if strings.Contains(out, "e+") {
				t.Error("a number is written as a power of ten")
			}
			for doc := range strings.SplitSeq(out, "\n---") {
				var meta metav1.TypeMeta
				must(t, yaml.Unmarshal([]byte(doc), &meta))
				object := kinds[meta.Kind]
				if object == nil {
					object = func() any { return &metav1.PartialObjectMetadata{} }
				}
				if err := yaml.Unmarshal([]byte(doc), object()); err != nil {
					t.Errorf("%s: %v", meta.Kind, err)
				}
			}
		})
	}
}

func TestTheRenderedPolicyIsOneThatColdtraceTakes(t *testing.T) {
	for name, values := range shapes {
		t.Run(name, func(t *testing.T) {
			found := false
			for _, doc := range render(t, values) {
				var c corev1.ConfigMap
				if yaml.Unmarshal(doc, &c) != nil || c.Data["policy.yaml"] == "" {
					continue
				}
				found = true
				if _, err := config.Parse([]byte(c.Data["policy.yaml"])); err != nil {
					t.Error(err)
				}
			}
			if !found {
				t.Error("no policy")
			}
		})
	}
}

func TestTheAPIServerAsksForTheSameGPUsAsThePolicy(t *testing.T) {
	var values struct {
		Policy struct {
			Selection struct{ GPUResources []string }
		}
	}
	read(t, "coldtrace/values.yaml", &values)
	if want := config.Default().Selection.GPUResources; !slices.Equal(values.Policy.Selection.GPUResources, want) {
		t.Errorf("values.yaml %v, default policy %v", values.Policy.Selection.GPUResources, want)
	}
}

func TestThePolicyTakesWhatTheSchemaTakes(t *testing.T) {
	var schema struct {
		Properties map[string]json.RawMessage
	}
	read(t, "coldtrace/values.schema.json", &schema)
	var same func(path string, raw json.RawMessage, typ reflect.Type)
	same = func(path string, raw json.RawMessage, typ reflect.Type) {
		var node struct {
			Properties map[string]json.RawMessage
		}
		if err := json.Unmarshal(raw, &node); err != nil {
			t.Fatal(err)
		}
		var fields []string
		for i := range typ.NumField() {
			field := typ.Field(i)
			name := field.Tag.Get("yaml")
			if name == "-" {
				continue
			}
			fields = append(fields, name)
			if field.Type.Kind() == reflect.Struct && node.Properties[name] != nil {
				same(path+"."+name, node.Properties[name], field.Type)
			}
		}
		slices.Sort(fields)
		if known := slices.Sorted(maps.Keys(node.Properties)); !slices.Equal(known, fields) {
			t.Errorf("%s: schema %v, policy %v", path, known, fields)
		}
	}
	same("policy", schema.Properties["policy"], reflect.TypeFor[config.Policy]())
}

// TestNothingAsksForMoreThanItNeeds: rights by the way certificates come, and what the API server is told. What every
// linter looks for is in lint_test.go.
func TestNothingAsksForMoreThanItNeeds(t *testing.T) {
	for name, values := range shapes {
		t.Run(name, func(t *testing.T) {
			certManager := strings.Contains(strings.Join(values, ","), "certManager.enabled=true")
			for _, doc := range render(t, values) {
				var meta metav1.TypeMeta
				must(t, yaml.Unmarshal(doc, &meta))
				switch meta.Kind {
				case "ClusterRole", "Role":
					var role rbacv1.ClusterRole
					must(t, yaml.Unmarshal(doc, &role))
					checkRules(t, meta.Kind, role.Rules, certManager)
				case "MutatingWebhookConfiguration":
					var w admissionv1.MutatingWebhookConfiguration
					must(t, yaml.Unmarshal(doc, &w))
					checkWebhook(t, &w.Webhooks[0])
				}
			}
		})
	}
}

func checkRules(t *testing.T, kind string, rules []rbacv1.PolicyRule, certManager bool) {
	t.Helper()
	for _, r := range rules {
		secrets := slices.Contains(r.Resources, "secrets")
		if secrets && (kind == "ClusterRole" || certManager) {
			t.Errorf("%s: secrets in %v", kind, r)
		}
		if secrets && len(r.ResourceNames) == 0 && !slices.Equal(r.Verbs, []string{"create"}) {
			t.Errorf("all secrets of the namespace: %v", r)
		}
		if slices.Contains(r.Resources, "pods/log") && !slices.Equal(r.Verbs, []string{"get"}) {
			t.Errorf("logs: %v", r)
		}
		if slices.Contains(r.Resources, "mutatingwebhookconfigurations") && (len(r.ResourceNames) != 1 || certManager) {
			t.Errorf("webhook configurations: %v", r)
		}
	}
}

func checkWebhook(t *testing.T, w *admissionv1.MutatingWebhook) {
	t.Helper()
	var excluded []string
	for _, e := range w.NamespaceSelector.MatchExpressions {
		if e.Operator == metav1.LabelSelectorOpNotIn {
			excluded = e.Values
		}
	}
	if !slices.Contains(excluded, "ns") || w.NamespaceSelector.MatchLabels["coldtrace.io/inject"] != "enabled" {
		t.Errorf("namespace selector %+v", w.NamespaceSelector)
	}
	if len(w.MatchConditions) != 2 || *w.TimeoutSeconds > 2 || len(w.ClientConfig.CABundle) > 0 {
		t.Errorf("webhook %+v", w)
	}
	if *w.SideEffects != admissionv1.SideEffectClassNoneOnDryRun || *w.ReinvocationPolicy != admissionv1.IfNeededReinvocationPolicy {
		t.Errorf("webhook %+v", w)
	}
}

func TestTheREADMEListsEveryValue(t *testing.T) {
	text, err := os.ReadFile("coldtrace/values.yaml")
	must(t, err)
	want := readme(t, string(text))
	if *update {
		must(t, os.WriteFile("coldtrace/README.md", []byte(want), 0o644))
	}
	got, err := os.ReadFile("coldtrace/README.md")
	must(t, err)
	if string(got) != want {
		t.Error("charts/coldtrace/README.md is old: make golden")
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, yaml.Unmarshal(b, into))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
