// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// corpus is the folder of captured shapes that may lie beside the checkout.
func corpus(t *testing.T) string {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "corpus")
	if _, err := os.Stat(path); err != nil {
		t.Skip("no corpus beside the checkout")
	}
	return path
}

func TestCorpusPods(t *testing.T) {
	const all = "env,wrapper,vllm-flag,request-sampling"
	for name, want := range map[string]struct {
		outcome                                            inject.Outcome
		container, features, endpoint, model, gpu, reasons string
	}{
		"01-sync-vllm-s5cmd":                 {inject.Injected, "main", all, "mistral-small-sync", "mistral-small-24b", "a100", "selected-by-label"},
		"02-streaming-vllm":                  {inject.Injected, "main", all, "llama-3-3-70b-instruct", "llama-3-3-70b-instruct", "h100", "selected-by-label"},
		"03-async-celery-forwarder":          {inject.Injected, "main", "env", "doc-layout-async", "", "a10", "selected-by-label,engine-unknown,not-vllm"},
		"04-lws-leader":                      {inject.Injected, "lws-leader", all, "deepseek-r1-2n", "deepseek-r1", "h100", "selected-by-label"},
		"05-lws-worker":                      {inject.Injected, "lws-worker", "env,wrapper", "deepseek-r1-2n", "deepseek-r1", "h100", "selected-by-label,not-a-server"},
		"06-batch-vllm-job":                  {inject.Injected, "main", "env,wrapper", "ft-d5f3j6m9q2s5u8v1t4k0", "", "h100", "selected-by-label,not-a-server"},
		"07-streaming-tgi":                   {inject.Injected, "main", "env,wrapper", "llama-2-13b-chat-tgi", "llama-2-13b-chat", "a10", "selected-by-label,not-vllm"},
		"09-sync-cpu-only":                   {inject.Skipped, "", "", "reranker-cpu", "", "", "no-gpu"},
		"10-sync-triton-enhanced":            {inject.Injected, "main", "env", "detector-triton-sync", "", "t4", "selected-by-label,engine-unknown,not-vllm"},
		"12-sync-gpu-no-command":             {inject.Injected, "main", "env", "whisper-entrypoint", "", "a10", "selected-by-label,entrypoint-unknown,not-vllm"},
		"13-streaming-vllm-after-irsa-istio": {inject.Injected, "main", all, "llama-3-3-70b-instruct", "llama-3-3-70b-instruct", "h100", "selected-by-label"},
		"14-image-cache-daemonset":           {inject.Skipped, "", "", "", "", "h100", "no-gpu"},
		"15-gpu-balloon":                     {inject.Skipped, "main", "", "", "", "h100", "not-an-endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			f := readFixture(t, filepath.Join(corpus(t), "pods", name+".yaml"))
			sel := inject.Selected(f.request)
			_, d := inject.Pod(f.request)
			var features, reasons []string
			for _, x := range d.Features {
				features = append(features, string(x))
			}
			for _, n := range d.Notes {
				reasons = append(reasons, string(n.Reason))
			}
			id := sel.Identity
			if d.Outcome != want.outcome || d.Container != want.container || strings.Join(features, ",") != want.features || strings.Join(reasons, ",") != want.reasons {
				t.Errorf("%s %q %v %v", d.Outcome, d.Container, features, reasons)
			}
			if want.endpoint != "" && id.EndpointName != want.endpoint || id.ModelName != want.model || id.GPUType != want.gpu {
				t.Errorf("endpoint %q model %q gpu %q", id.EndpointName, id.ModelName, id.GPUType)
			}
			for i, req := range policies(t) {
				problems, ok := checkProperties(f.raw, req)
				for _, p := range problems {
					t.Errorf("policy %d: %s", i, p)
				}
				if !ok {
					t.Error("does not decode")
				}
			}
		})
	}
}

func TestCorpusCommands(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(corpus(t), "commands.json"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []struct {
		Name     string
		Argv     []string
		IsServer bool `json:"contains_vllm_server"`
	}
	if err := json.Unmarshal(data, &commands); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		got, d := edited(t, gpuPod(c.Argv, nil), "")
		changed := !slices.Equal(got, c.Argv)
		wantFlag := c.IsServer && !strings.Contains(strings.Join(c.Argv, " "), startup.VLLMTracesFlag)
		if has := slices.Contains(d.Features, inject.FeatureVLLMFlag); has != wantFlag {
			t.Errorf("%s: flag %v, want %v (%v)", c.Name, has, wantFlag, d.Notes)
		}
		if !changed {
			continue
		}
		if problem := checkWords(c.Argv[len(c.Argv)-1], got[len(got)-1]); problem != "" {
			t.Errorf("%s: %s", c.Name, problem)
		}
	}
}
