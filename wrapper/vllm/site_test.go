// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dist is a distribution of a made-up installation.
type dist struct {
	version  string
	requires []string
	modules  []string
}

// site is a folder of packages by name.
type dists map[string]dist

// healthy is an installation as pip leaves it: OpenTelemetry of one version, and what it stands on.
func healthy(vllm string) dists {
	const api, beta = "1.39.1", "0.60b1"
	return dists{
		"vllm":              {vllm, []string{"opentelemetry-sdk>=1.27.0", "opentelemetry-api>=1.27.0", "torch==2.9.0", `opentelemetry-x; extra == "otel"`}, []string{"vllm"}},
		"opentelemetry-api": {api, []string{"importlib-metadata<8.8.0,>=6.0", "typing-extensions>=4.5.0"}, []string{"opentelemetry.trace", "opentelemetry.context"}},
		"opentelemetry-sdk": {api, []string{
			"opentelemetry-api==" + api, "opentelemetry-semantic-conventions==" + beta, "typing-extensions>=4.5.0", `pyyaml; extra == "file-configuration"`,
		}, []string{"opentelemetry.sdk.trace"}},
		"opentelemetry-semantic-conventions":       {beta, []string{"opentelemetry-api==" + api}, []string{"opentelemetry.semconv"}},
		"opentelemetry-semantic-conventions-ai":    {"0.4.13", nil, []string{"opentelemetry.semconv.ai"}},
		"opentelemetry-proto":                      {api, []string{"protobuf<7.0,>=5.0"}, []string{"opentelemetry.proto"}},
		"opentelemetry-exporter-otlp-proto-common": {api, []string{"opentelemetry-proto==" + api}, []string{"opentelemetry.exporter.otlp.proto.common"}},
		"opentelemetry-exporter-otlp-proto-grpc": {api, []string{
			"googleapis-common-protos~=1.57", `grpcio<2.0.0,>=1.63.2; python_version < "3.13"`, `grpcio<2.0.0,>=1.66.2; python_version >= "3.13"`, "opentelemetry-api~=1.15",
			"opentelemetry-exporter-otlp-proto-common==" + api, "opentelemetry-proto==" + api, "opentelemetry-sdk~=1.39.1",
		}, []string{"opentelemetry.exporter.otlp.proto.grpc.trace_exporter"}},
		"opentelemetry-exporter-otlp-proto-http": {api, []string{
			"googleapis-common-protos~=1.52", "opentelemetry-api~=1.15", "opentelemetry-exporter-otlp-proto-common==" + api, "opentelemetry-proto==" + api, "opentelemetry-sdk~=1.39.1", "requests~=2.7",
		}, []string{"opentelemetry.exporter.otlp.proto.http.trace_exporter"}},
		"googleapis-common-protos": {"1.72.0", []string{"protobuf!=3.20.0,<7.0.0,>=3.20.2", `grpcio<2.0.0,>=1.44.0; extra == "grpc"`}, []string{"google.rpc"}},
		"grpcio":                   {"1.76.0", []string{"typing-extensions~=4.12"}, []string{"grpc"}},
		"protobuf":                 {"6.33.2", nil, []string{"google.protobuf"}},
		"requests":                 {"2.32.5", []string{"charset_normalizer<4,>=2", "idna<4,>=2.5", "urllib3<3,>=1.21.1", "certifi>=2017.4.17", "PySocks!=1.5.7,>=1.5.6; extra == 'socks'"}, []string{"requests"}},
		"urllib3":                  {"2.6.2", nil, []string{"urllib3"}},
		"charset-normalizer":       {"3.4.4", nil, []string{"charset_normalizer"}},
		"idna":                     {"3.11", nil, []string{"idna"}},
		"certifi":                  {"2025.11.12", nil, []string{"certifi"}},
		"importlib-metadata":       {"8.7.0", []string{"zipp>=3.20", `typing-extensions>=3.6.4; python_version < "3.8"`}, []string{"importlib_metadata"}},
		"zipp":                     {"3.23.0", nil, []string{"zipp"}},
		"typing-extensions":        {"4.15.0", nil, []string{"typing_extensions"}},
	}
}

func (d dists) with(name string, change func(*dist)) dists {
	one := d[name]
	change(&one)
	d[name] = one
	return d
}

func (d dists) at(name, version string) dists {
	return d.with(name, func(x *dist) { x.version = version })
}

func (d dists) asks(name, requirement string) dists {
	return d.with(name, func(x *dist) { x.requires = append(slices.Clone(x.requires), requirement) })
}

func (d dists) without(names ...string) dists {
	for _, n := range names {
		delete(d, n)
	}
	return d
}

// info is the name of a distribution's folder of metadata.
func info(name, version string) string {
	return strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info"
}

// installInto writes the packages as pip does: modules, METADATA, RECORD.
func (d dists) installInto(t *testing.T, folder string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(d)) {
		x := d[name]
		var record strings.Builder
		for _, m := range x.modules {
			file := strings.ReplaceAll(m, ".", "/") + "/__init__.py"
			text := "# " + name + " " + x.version + "\n"
			write(t, filepath.Join(folder, file), text, 0o644)
			fmt.Fprintf(&record, "%s,sha256=x,%d\n", file, len(text))
		}
		var meta strings.Builder
		meta.WriteString("Metadata-Version: 2.4\nName: " + name + "\nVersion: " + x.version + "\n")
		for _, r := range x.requires {
			meta.WriteString("Requires-Dist: " + r + "\n")
		}
		in := filepath.Join(folder, info(name, x.version))
		write(t, filepath.Join(in, "METADATA"), meta.String()+"\nRequires-Dist: what a description says\n", 0o644)
		write(t, filepath.Join(in, "RECORD"), record.String()+info(name, x.version)+"/RECORD,,\n", 0o644)
		if name == "opentelemetry-api" {
			write(t, filepath.Join(in, "entry_points.txt"), "[opentelemetry_context]\ncontextvars_context = x\n", 0o644)
		}
	}
}

// python makes an interpreter, and vLLM's program beside it.
func python(t *testing.T) (root, site string) {
	t.Helper()
	root = t.TempDir()
	write(t, filepath.Join(root, "bin/python3.12"), "ELF", 0o755)
	for _, link := range []string{"python", "python3"} {
		if err := os.Symlink("python3.12", filepath.Join(root, "bin", link)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "bin/vllm"), "#!"+root+"/bin/python3\nimport vllm\n", 0o755)
	return root, filepath.Join(root, "lib/python3.12/site-packages")
}

func installed(t *testing.T, d dists) (root string) {
	t.Helper()
	root, site := python(t)
	d.installInto(t, site)
	return root
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Lstat(name); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}
