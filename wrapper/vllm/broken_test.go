// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

const (
	sdk    = "opentelemetry-sdk"
	api    = "opentelemetry-api"
	common = "opentelemetry-exporter-otlp-proto-common"
	byGRPC = "opentelemetry-exporter-otlp-proto-grpc"
	byHTTP = "opentelemetry-exporter-otlp-proto-http"
)

// Each of these lets vLLM start; most let it die at its first request (real-vllm F3).
func TestABrokenInstallationGetsNeitherFlagNorLoadingSpans(t *testing.T) {
	type change func(t *testing.T, site string)
	nothing := func(*testing.T, string) {}
	gone := func(parts ...string) change {
		return func(t *testing.T, site string) { remove(t, filepath.Join(append([]string{site}, parts...)...)) }
	}
	also := func(d dists) change { return func(t *testing.T, site string) { d.installInto(t, site) } }
	h := func() dists { return healthy("0.19.0") }
	meta := func(name string) string { return info(name, h()[name].version) }

	for name, c := range map[string]struct {
		dists dists
		then  change
	}{
		"the SDK is older than its exporters":                    {h().at(sdk, "1.26.0"), nothing},
		"the SDK is a candidate of what the exporters ask for":   {h().at(sdk, "1.39.1rc1"), nothing},
		"the API is newer than the SDK":                          {h().at(api, "1.40.0"), nothing},
		"the API is of a local build that the SDK does not name": {h().asks(sdk, "opentelemetry-api===1.39.1").at(api, "1.39.1+fork"), nothing},
		"the conventions are those of another SDK":               {h().at("opentelemetry-semantic-conventions", "0.47b0"), nothing},
		"the exporters' common part is another's":                {h().at(common, "1.38.0"), nothing},
		"the protocol is another's":                              {h().at("opentelemetry-proto", "1.38.0"), nothing},
		"one exporter is of another version":                     {h().at(byHTTP, "1.26.0").asks(byHTTP, "opentelemetry-sdk~=1.26.0"), nothing},
		"protobuf is too new for the generated code":             {h().at("protobuf", "7.0.1"), nothing},
		"protobuf is too old":                                    {h().at("protobuf", "4.25.3"), nothing},
		"protobuf is the one version that is excluded":           {h().asks("googleapis-common-protos", "protobuf!=6.33.*"), nothing},
		"gRPC is too old for this Python":                        {h().at("grpcio", "1.62.0"), nothing},
		"requests needs another urllib3":                         {h().at("urllib3", "3.0.0"), nothing},
		"importlib-metadata was updated past the API":            {h().at("importlib-metadata", "8.8.0"), nothing},
		"vLLM itself asks for a newer SDK":                       {h().asks("vllm", "opentelemetry-sdk>=1.40"), nothing},
		"the common part is missing":                             {h().without(common), nothing},
		"a transport that newer exporters import is missing":     {h().asks(byHTTP, "opentelemetry-exporter-http-transport==0.60b1"), nothing},
		"what that stands on is missing": {func() dists {
			d := h().asks(byHTTP, "opentelemetry-exporter-http-transport[requests]")
			d["opentelemetry-exporter-http-transport"] = dist{"0.60b1", []string{`httpx; extra == "requests"`}, []string{"opentelemetry.exporter.http"}}
			return d
		}(), nothing},
		"no SDK":                          {h().without(sdk), nothing},
		"no API":                          {h().without(api), nothing},
		"no conventions":                  {h().without("opentelemetry-semantic-conventions"), nothing},
		"no gRPC exporter":                {h().without(byGRPC), nothing},
		"no HTTP exporter":                {h().without(byHTTP), nothing},
		"no gRPC":                         {h().without("grpcio"), nothing},
		"no protobuf":                     {h().without("protobuf"), nothing},
		"no common protos":                {h().without("googleapis-common-protos"), nothing},
		"no requests":                     {h().without("requests"), nothing},
		"no typing-extensions":            {h().without("typing-extensions"), nothing},
		"nothing of OpenTelemetry at all": {h().without(sdk, api, common, byGRPC, byHTTP, "opentelemetry-proto"), nothing},
		"a requirement nobody can read":   {h().asks(sdk, "typing-extensions =>4"), nothing},
		"a marker nobody can read":        {h().asks(sdk, `nowhere; platform_release > "5" maybe`), nothing},
		"two SDKs in one folder":          {h(), also(dists{sdk: {"1.26.0", nil, nil}})},
		"two vLLMs in one folder":         {h(), also(dists{"vllm": {"0.8.5", nil, nil}})},
		"the SDK's metadata is gone":      {h(), gone(meta(sdk))},
		"the API's metadata is gone":      {h(), gone(meta(api))},
		"the API's entry points are gone": {h(), gone(meta(api), "entry_points.txt")},
		"the API's metadata is empty":     {h(), func(t *testing.T, site string) { write(t, filepath.Join(site, meta(api), "METADATA"), "", 0o644) }},
		"metadata that names another": {h(), func(t *testing.T, site string) {
			write(t, filepath.Join(site, meta(sdk), "METADATA"), "Name: other\nVersion: 1.39.1\n", 0o644)
		}},
		"metadata without a version": {h(), func(t *testing.T, site string) {
			write(t, filepath.Join(site, meta(sdk), "METADATA"), "Name: opentelemetry-sdk\n", 0o644)
		}},
		"only the folder of metadata stayed": {h(), func(t *testing.T, site string) { remove(t, filepath.Join(site, meta(common), "METADATA")) }},
		"the exporter's module is gone":      {h(), gone("opentelemetry/exporter/otlp/proto/grpc")},
		"the common part's module is gone":   {h(), gone("opentelemetry/exporter/otlp/proto/common")},
		"a file of the SDK is gone": {h().with(sdk, func(d *dist) { d.modules = append(d.modules, "opentelemetry.sdk.resources") }),
			gone("opentelemetry/sdk/resources/__init__.py")},
		"files of another version lie over the SDK's": {h(), func(t *testing.T, site string) {
			write(t, filepath.Join(site, "opentelemetry/sdk/trace/__init__.py"), "# another version's file\n", 0o644)
		}},
		"only bytecode that uninstalling left": {h(), func(t *testing.T, site string) {
			remove(t, filepath.Join(site, "google/rpc/__init__.py"))
			write(t, filepath.Join(site, "google/rpc/__pycache__/x.pyc"), "", 0o644)
		}},
		"vLLM is an editable installation": {h(), func(t *testing.T, site string) {
			remove(t, filepath.Join(site, "vllm"))
			write(t, filepath.Join(site, "__editable__.vllm.pth"), "/src/vllm\n", 0o644)
		}},
		"the SDK is an editable installation": {h(), gone("opentelemetry/sdk")},
		"the SDK is an egg of the third syntax": {h(), func(t *testing.T, site string) {
			remove(t, filepath.Join(site, meta(sdk)))
			egg := filepath.Join(site, "opentelemetry_sdk-1.39.1.egg-info")
			write(t, filepath.Join(egg, "PKG-INFO"), "Name: opentelemetry-sdk\nVersion: 1.39.1\n", 0o644)
			write(t, filepath.Join(egg, "requires.txt"), "opentelemetry-api==1.0\n", 0o644)
		}},
		"the SDK is linked to by setup.py develop": {h(), func(t *testing.T, site string) {
			remove(t, filepath.Join(site, meta(sdk)))
			write(t, filepath.Join(site, "opentelemetry-sdk.egg-link"), "/src/sdk\n", 0o644)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := installed(t, c.dists)
			c.then(t, filepath.Join(root, "lib/python3.12/site-packages"))
			for _, mode := range []string{startup.VLLMFlagAuto, startup.VLLMFlagOff} {
				if p := Prepare([]string{"vllm", "serve", "m"}, environmentOf(root), offer(mode)); p.Flag || p.Load || len(p.Env) != len(environmentOf(root)) {
					t.Errorf("mode %s: flag %t, loading spans %t", mode, p.Flag, p.Load)
				}
			}
		})
	}
}

// What other folders of the module path hold comes before what is installed beside vLLM, or after it.
func TestTheModulePathDecidesWhichInstallationItIs(t *testing.T) {
	old := dists{sdk: {"1.26.0", []string{"opentelemetry-api==1.26.0"}, []string{"opentelemetry.sdk.trace"}}}
	for name, c := range map[string]struct {
		first func(t *testing.T, dir string) string // an entry of PYTHONPATH
		want  bool
	}{
		"an empty folder first":          {func(_ *testing.T, dir string) string { return dir }, true},
		"a folder that is not there":     {func(_ *testing.T, dir string) string { return dir + "/none" }, true},
		"an old SDK first":               {func(t *testing.T, dir string) string { old.installInto(t, dir); return dir }, false},
		"an old vLLM first":              {func(t *testing.T, dir string) string { healthy("0.8.5").installInto(t, dir); return dir }, false},
		"modules without metadata first": {func(t *testing.T, dir string) string { write(t, dir+"/requests.py", "", 0o644); return dir }, false},
		"metadata without modules first": {func(t *testing.T, dir string) string {
			dists{"grpcio": {"1.76.0", nil, nil}}.installInto(t, dir)
			return dir
		}, false},
		"a complete newer one first":      {func(t *testing.T, dir string) string { healthy("0.20.0").installInto(t, dir); return dir }, true},
		"an archive, which is not opened": {func(t *testing.T, dir string) string { write(t, dir+"/a.zip", "PK", 0o644); return dir + "/a.zip" }, false},
		"something else entirely first": {func(t *testing.T, dir string) string {
			dists{"numpy": {"2.0", nil, []string{"numpy"}}}.installInto(t, dir)
			return dir
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := installed(t, healthy("0.19.0"))
			env := environmentOf(root, "PYTHONPATH="+c.first(t, t.TempDir()))
			if p := Prepare([]string{"python", "-m", "vllm_server"}, env, offer(startup.VLLMFlagAuto)); p.Flag != c.want {
				t.Errorf("flag %t, want %t", p.Flag, c.want)
			}
		})
	}
}

func TestWhatIsHealthyInUnusualWaysGetsTheFlag(t *testing.T) {
	for name, then := range map[string]func(t *testing.T, site string){
		"no record of files": func(t *testing.T, site string) {
			files, err := filepath.Glob(site + "/*.dist-info/RECORD")
			if err != nil || len(files) == 0 {
				t.Fatal(err)
			}
			for _, f := range files {
				remove(t, f)
			}
		},
		"an egg with requirements in its metadata": func(t *testing.T, site string) {
			from := filepath.Join(site, "requests-2.32.5.dist-info")
			if err := os.Rename(filepath.Join(from, "METADATA"), filepath.Join(from, "PKG-INFO")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(from, filepath.Join(site, "requests-2.32.5.egg-info")); err != nil {
				t.Fatal(err)
			}
		},
		"an old spelling of a name": func(t *testing.T, site string) {
			if err := os.Rename(filepath.Join(site, "opentelemetry_sdk-1.39.1.dist-info"), filepath.Join(site, "OpenTelemetry.SDK-1.39.1.dist-info")); err != nil {
				t.Fatal(err)
			}
		},
		"an extra that nobody asked for is missing": func(*testing.T, string) {},
		"unrelated packages contradict each other": func(t *testing.T, site string) {
			dists{"numba": {"0.61", []string{"numpy<2"}, []string{"numba"}}, "numpy": {"2.3", nil, []string{"numpy"}}}.installInto(t, site)
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := installed(t, healthy("0.19.0").without("torch"))
			then(t, filepath.Join(root, "lib/python3.12/site-packages"))
			if p := Prepare([]string{"vllm", "serve", "m"}, environmentOf(root), offer(startup.VLLMFlagAuto)); !p.Flag {
				t.Error("no flag")
			}
		})
	}
}
