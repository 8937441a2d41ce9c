// SPDX-License-Identifier: Apache-2.0

// Package istio_test reads what the chart renders for Istio as Istio and Envoy would: strictly, and into their types.
package istio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	telemetry "istio.io/api/telemetry/v1alpha1"
	networkingclient "istio.io/client-go/pkg/apis/networking/v1alpha3"
	telemetryclient "istio.io/client-go/pkg/apis/telemetry/v1"
	"sigs.k8s.io/yaml"
)

// render are the objects that the chart makes for Istio, by kind, as JSON.
func render(t *testing.T, values string) map[string][]byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	must(t, os.WriteFile(file, []byte(values), 0o600))
	var out, errs bytes.Buffer
	cmd := exec.Command(helm(t), "template", "coldtrace", "../../charts/coldtrace", "-f", file, "--show-only", "templates/trace-volume.yaml")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("helm template: %v: %s", err, errs.String())
	}
	objects := map[string][]byte{}
	for doc := range strings.SplitSeq(out.String(), "\n---\n") {
		b, err := yaml.YAMLToJSONStrict([]byte(doc))
		must(t, err)
		var meta struct{ Kind string }
		must(t, json.Unmarshal(b, &meta))
		objects[meta.Kind] = b
	}
	return objects
}

func helm(t *testing.T) string {
	t.Helper()
	path := "../../.cluster/bin/helm"
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		path = filepath.Join(assets, "helm")
	}
	if _, err := os.Stat(path); err != nil {
		const missing = "there is no Helm: run `make cluster-assets`, which builds it"
		if os.Getenv("CI") != "" { // nothing is green there for lack of something
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return path
}

// decode reads an object into its type, and its spec into the API's message, which alone refuses unknown fields.
func decode(t *testing.T, object []byte, into any, spec proto.Message) {
	t.Helper()
	if object == nil {
		t.Fatal("it is not rendered")
	}
	var raw struct {
		APIVersion, Kind string
		Metadata         map[string]any
		Spec             json.RawMessage
	}
	strict := json.NewDecoder(bytes.NewReader(object))
	strict.DisallowUnknownFields()
	must(t, strict.Decode(&raw))
	must(t, json.Unmarshal(object, into))
	if err := (protojson.UnmarshalOptions{}).Unmarshal(raw.Spec, spec); err != nil {
		t.Fatalf("spec: %v\n%s", err, raw.Spec)
	}
}

func TestTheTelemetryResourceSamplesTheMesh(t *testing.T) {
	for name, test := range map[string]struct {
		values    string
		percent   float64
		providers []string
	}{
		"the default":      {"{enabled: true}", 1, nil},
		"a small share":    {"{enabled: true, randomSamplingPercentage: 0.01}", 0.01, nil},
		"nothing":          {"{enabled: true, randomSamplingPercentage: 0}", 0, nil},
		"with a provider":  {"{enabled: true, randomSamplingPercentage: 100, providers: [otel]}", 100, []string{"otel"}},
		"with two of them": {"{enabled: true, namespace: models, providers: [otel, datadog]}", 1, []string{"otel", "datadog"}},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				object telemetryclient.Telemetry
				spec   telemetry.Telemetry
			)
			decode(t, render(t, "traceVolume: {istio: {telemetry: "+test.values+"}}")["Telemetry"], &object, &spec)
			if object.APIVersion != telemetryclient.SchemeGroupVersion.String() || object.Namespace == "" || len(spec.Tracing) != 1 {
				t.Fatalf("%s in %q with %d tracings", object.APIVersion, object.Namespace, len(spec.Tracing))
			}
			tracing := spec.Tracing[0]
			if p := tracing.GetRandomSamplingPercentage(); p == nil || p.Value != test.percent {
				t.Errorf("percentage %v, want %v", p, test.percent)
			}
			var providers []string
			for _, p := range tracing.Providers {
				providers = append(providers, p.Name)
			}
			if fmt.Sprint(providers) != fmt.Sprint(test.providers) {
				t.Errorf("providers %v, want %v", providers, test.providers)
			}
		})
	}
}

const gatewayRoutes = `
traceVolume:
  istio:
    gateway:
      enabled: true
      routes:
        - {route: polls, keepPercent: 0.1}
        - {route: polls, virtualHost: "llm.example.com:443", keepPercent: 0.001}
        - {path: /v1/async-tasks/*, cluster: "outbound|80||gateway.llm.svc.cluster.local", virtualHost: "*:80", keepPercent: 0}
        - {path: /health, cluster: "outbound|80||gateway.llm.svc.cluster.local", virtualHost: "*:80", keepPercent: 100}
`

func TestTheEnvoyFilterSamplesEachRouteAndChangesNothingElseOfIt(t *testing.T) {
	var (
		object networkingclient.EnvoyFilter
		spec   networking.EnvoyFilter
	)
	rendered := render(t, gatewayRoutes)["EnvoyFilter"]
	decode(t, rendered, &object, &spec)
	if strings.Contains(strings.ToLower(string(rendered)), "lua") {
		t.Error("there is Lua in it")
	}
	if object.APIVersion != networkingclient.SchemeGroupVersion.String() || spec.WorkloadSelector.GetLabels()["istio"] != "ingressgateway" {
		t.Errorf("%s for %v", object.APIVersion, spec.WorkloadSelector)
	}
	want := []struct {
		operation   networking.EnvoyFilter_Patch_Operation
		route, host string
		share       uint32 // in ten-thousandths
		prefix      string
		path        string
	}{
		{networking.EnvoyFilter_Patch_MERGE, "polls", "", 10, "", ""},
		{networking.EnvoyFilter_Patch_MERGE, "polls", "llm.example.com:443", 1, "", ""}, // less than Envoy can tell, but not nothing
		{networking.EnvoyFilter_Patch_INSERT_FIRST, "", "*:80", 0, "/v1/async-tasks/", ""},
		{networking.EnvoyFilter_Patch_INSERT_FIRST, "", "*:80", 10000, "", "/health"},
	}
	if len(spec.ConfigPatches) != len(want) {
		t.Fatalf("%d patches, want %d", len(spec.ConfigPatches), len(want))
	}
	for i, w := range want {
		patch := spec.ConfigPatches[i]
		vhost := patch.Match.GetRouteConfiguration().GetVhost()
		if patch.ApplyTo != networking.EnvoyFilter_HTTP_ROUTE || patch.Match.Context != networking.EnvoyFilter_GATEWAY ||
			patch.Patch.Operation != w.operation || vhost.GetName() != w.host || vhost.GetRoute().GetName() != w.route {
			t.Errorf("patch %d: %v", i, patch)
		}
		value, err := patch.Patch.Value.MarshalJSON()
		must(t, err)
		route := &routev3.Route{}
		if err := protojson.Unmarshal(value, route); err != nil { // refuses what Envoy's route has not
			t.Fatalf("patch %d is not an Envoy route: %v\n%s", i, err, value)
		}
		if w.operation == networking.EnvoyFilter_Patch_MERGE {
			route = merged(t, route)
		}
		if err := route.ValidateAll(); err != nil {
			t.Errorf("patch %d: %v", i, err)
		}
		share := route.Tracing.GetRandomSampling()
		if share.GetNumerator() != w.share || share.GetDenominator() != typev3.FractionalPercent_TEN_THOUSAND {
			t.Errorf("patch %d: random sampling %v, want %d ten-thousandths", i, share, w.share)
		}
		// Absent would be 100 %: whoever sends x-client-trace-id would be traced.
		if c := route.Tracing.ClientSampling; c == nil || c.Numerator != 0 {
			t.Errorf("patch %d: client sampling %v", i, c)
		}
		if w.operation == networking.EnvoyFilter_Patch_INSERT_FIRST &&
			(route.Match.GetPrefix() != w.prefix || route.Match.GetPath() != w.path || route.GetRoute().GetCluster() == "" || route.GetRoute().GetTimeout().AsDuration() != 0) {
			t.Errorf("patch %d: %v", i, route)
		}
	}
}

// merged is what Istio makes of a VirtualService's route and the patch.
func merged(t *testing.T, patch *routev3.Route) *routev3.Route {
	t.Helper()
	own := &routev3.Route{}
	must(t, protojson.Unmarshal([]byte(`{
		"name": "polls",
		"match": {"prefix": "/v1/async-tasks/"},
		"route": {"cluster": "outbound|80||gateway.llm.svc.cluster.local", "timeout": "60s", "retryPolicy": {"numRetries": 2}}
	}`), own))
	both := proto.Clone(own).(*routev3.Route)
	proto.Merge(both, patch)
	rest := proto.Clone(both).(*routev3.Route)
	rest.Tracing = nil
	if !proto.Equal(rest, own) {
		t.Errorf("the patch changes more than tracing: %v", rest)
	}
	return both
}

func TestAGatewayRouteThatIsNeitherNamedNorComplete(t *testing.T) {
	for name, routes := range map[string]string{
		"none at all":           "[]",
		"no share":              "[{route: polls}]",
		"a path but no cluster": "[{path: /health, virtualHost: '*:80', keepPercent: 1}]",
		"a name and a path":     "[{route: polls, path: /health, cluster: c, virtualHost: '*:80', keepPercent: 1}]",
		"more than all":         "[{route: polls, keepPercent: 101}]",
		"an unknown field":      "[{route: polls, keepPercent: 1, percent: 1}]",
		"a * within the path":   "[{path: /a*/b, cluster: c, virtualHost: '*:80', keepPercent: 1}]",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			must(t, os.WriteFile(file, []byte("traceVolume: {istio: {gateway: {enabled: true, routes: "+routes+"}}}"), 0o600))
			out, err := exec.Command(helm(t), "template", "coldtrace", "../../charts/coldtrace", "-f", file).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "gateway") || !strings.Contains(string(out), "routes") {
				t.Errorf("error %v, want one that names the gateway's routes: %s", err, out)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
