// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// Whatever an engine's log settings leave of its log, the start is told, and ready when the server first answered.
func TestASilentLogDelaysNothing(t *testing.T) {
	dir := image(t)
	if err := os.Symlink("python", filepath.Join(dir, "text-generation-launcher")); err != nil {
		t.Fatal(err)
	}
	vllm := "python -m vllm.entrypoints.openai.api_server --model m --port PORT"
	for name, c := range map[string]struct {
		script string
		env    string // SIM_VERSION
		logs   []string
	}{
		"vLLM's old engine": {vllm, "0.6.6", []string{"none", "bars", "warning"}},
		"vLLM":              {vllm, "0.19.0", []string{"none", "bars", "warning", "quiet-uvicorn"}},
		"vLLM of 2026":      {vllm, "0.32.0", []string{"none", "bars", "warning", "quiet-uvicorn", ""}},
		"SGLang":            {"python -m sglang.launch_server --model-path m --port PORT", "", []string{"none", "bars", "quiet-uvicorn"}},
		"TGI":               {"text-generation-launcher --model-id m --port PORT", "", []string{"none"}},
		"LightLLM":          {"python -m lightllm.server.api_server --model_dir m --port PORT", "", []string{"none"}},
		"Triton":            {"python launch_triton_server.py --http-port PORT", "", []string{"none"}},
	} {
		for _, log := range c.logs {
			t.Run(name+", "+log, func(t *testing.T) {
				r, truth := otlptest.New(t), filepath.Join(t.TempDir(), "truth.json")
				begin(t, traced(dir, "http://"+r.GRPC, "SIM_SPEED=40", "SIM_TRUTH="+truth, "SIM_LOG="+log, "SIM_VERSION="+c.env),
					strings.ReplaceAll(c.script, "PORT", freeport.Of(t)))
				s, ok := r.WaitSpan(60*time.Second, startup.SpanStartup)
				if !ok || s.Error != "" {
					t.Fatalf("%+v", r.Spans())
				}
				var was struct{ Serving int64 }
				b, err := os.ReadFile(truth)
				if err == nil {
					err = json.Unmarshal(b, &was)
				}
				if err != nil {
					t.Fatal(err)
				}
				// A poll, and what a loaded machine takes for it.
				if late := s.End.Sub(time.Unix(0, was.Serving)); late < -50*time.Millisecond || late > 3*time.Second {
					t.Errorf("ready %v after it served", late)
				}
				for _, s := range r.Spans() {
					if s.Error != "" || s.Name == startup.SpanPythonImport && log != "" && log != "quiet-uvicorn" {
						t.Errorf("%+v", s)
					}
				}
			})
		}
	}
}
