// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Variant is the Python packages of a sim image: a version of vLLM, and how much of OpenTelemetry it finds.
type Variant struct {
	VLLM string // as in the name of its dist-info; empty: no vLLM is installed
	OTel string // one of the keys of otelPackages
}

// defaultVariant is that of sim:dev: the first vLLM whose image brings the OpenTelemetry packages again.
var defaultVariant = Variant{VLLM: "0.17.0", OTel: "full"}

// sitePackages is where vLLM's images have them.
const sitePackages = "usr/local/lib/python3.12/dist-packages"

type pythonPackage struct{ name, version, module string }

var (
	otelCore = []pythonPackage{
		{"opentelemetry-api", "1.34.1", "opentelemetry/trace"},
		{"opentelemetry-sdk", "1.34.1", "opentelemetry/sdk"},
		{"opentelemetry-semantic-conventions", "0.55b1", "opentelemetry/semconv"},
	}
	otelGRPC = []pythonPackage{
		{"opentelemetry-exporter-otlp-proto-common", "1.34.1", "opentelemetry/exporter/otlp/proto/common"},
		{"opentelemetry-exporter-otlp-proto-grpc", "1.34.1", "opentelemetry/exporter/otlp/proto/grpc/trace_exporter"},
		{"opentelemetry-proto", "1.34.1", "opentelemetry/proto"},
		{"grpcio", "1.73.0", "grpc"},
		{"protobuf", "5.29.5", "google/protobuf"},
		{"googleapis-common-protos", "1.70.0", "google/rpc"},
	}
	otelRest = []pythonPackage{
		{"opentelemetry-exporter-otlp-proto-http", "1.34.1", "opentelemetry/exporter/otlp/proto/http/trace_exporter"},
		{"requests", "2.32.4", "requests"},
		{"opentelemetry-exporter-otlp", "1.34.1", "opentelemetry/exporter/otlp"},
		{"opentelemetry-semantic-conventions-ai", "0.4.9", "opentelemetry/semconv_ai"},
		{"opentelemetry-semantic-conventions-ai", "0.4.9", "opentelemetry/semconv/ai"}, // its name until 0.4
	}
)

// otelPackages: "half" is what Ray alone brings (an SDK without exporters), "grpc" lacks the HTTP exporter, which vLLM
// imports since 0.16 whether it is used or not.
var otelPackages = map[string][]pythonPackage{
	"none": nil,
	"half": otelCore,
	"grpc": append(append([]pythonPackage{}, otelCore...), otelGRPC...),
	"full": append(append(append([]pythonPackage{}, otelCore...), otelGRPC...), otelRest...),
}

// knownVersions has each version at which tracing in vLLM changed, and its neighbours.
var knownVersions = []string{
	"0.4.3", "0.5.0", "0.5.1", "0.5.4", "0.5.5", "0.6.6", "0.7.3", "0.8.0", "0.8.5", "0.9.1", "0.9.2", "0.10.0",
	"0.10.1.1", "0.10.2", "0.11.0", "0.12.0", "0.13.0", "0.14.0", "0.15.1", "0.16.0", "0.17.0", "0.18.0", "0.20.0", "0.22.0",
	"0.25.1", "0.27.1",
}

var versionForm = regexp.MustCompile(`^[0-9][0-9A-Za-z.+]*$`)

func parseVariants(value string) ([]Variant, error) {
	if value == "all" {
		var all []Variant
		for _, version := range knownVersions {
			for _, otel := range []string{"none", "half", "grpc", "full"} {
				all = append(all, Variant{version, otel})
			}
		}
		return all, nil
	}
	v := Variant{OTel: "none"}
	for field := range strings.SplitSeq(value, ",") {
		key, setting, _ := strings.Cut(field, "=")
		switch key {
		case "vllm":
			v.VLLM = setting
		case "otel":
			v.OTel = setting
		default:
			return nil, fmt.Errorf("there is no %q; there are vllm and otel", key)
		}
	}
	if _, ok := otelPackages[v.OTel]; !ok {
		return nil, fmt.Errorf("otel=%s is not one of full, grpc, half, none", v.OTel)
	}
	if v.VLLM != "" && !versionForm.MatchString(v.VLLM) {
		return nil, fmt.Errorf("vllm=%s is not a version", v.VLLM)
	}
	return []Variant{v}, nil
}

// Tag names the variant: 0.17.0-otel, 0.17.0-otel-half, 0.17.0-otel-grpc, 0.17.0, and with no vLLM at all bare-otel …
func (v Variant) Tag() string {
	version := strings.ReplaceAll(v.VLLM, "+", "_")
	if version == "" {
		version = "bare"
	}
	switch v.OTel {
	case "none":
		return version
	case "full":
		return version + "-otel"
	default:
		return version + "-otel-" + v.OTel
	}
}

// Tree is the packages as pip would have left them: a module that is there, and metadata that names it.
func (v Variant) Tree() Tree {
	t := Tree{}
	t.Folder(sitePackages, 0o755)
	if v.VLLM != "" {
		t.install(pythonPackage{"vllm", v.VLLM, "vllm"})
		t.Text(path.Join(sitePackages, "vllm/_version.py"), "__version__ = version = '"+v.VLLM+"'\n")
	}
	for _, p := range otelPackages[v.OTel] {
		t.install(p)
	}
	return t
}

func (t Tree) install(p pythonPackage) {
	t.Text(path.Join(sitePackages, p.module, "__init__.py"), "")
	info := path.Join(sitePackages, strings.ReplaceAll(p.name, "-", "_")+"-"+p.version+".dist-info")
	t.Text(info+"/METADATA", "Metadata-Version: 2.4\nName: "+p.name+"\nVersion: "+p.version+"\n")
	t.Text(info+"/INSTALLER", "pip\n")
	if p.name == "opentelemetry-api" { // which looks for itself among them
		t.Text(info+"/entry_points.txt", "[opentelemetry_context]\ncontextvars_context = opentelemetry.context.contextvars_context:ContextVarsRuntimeContext\n")
	}
}
