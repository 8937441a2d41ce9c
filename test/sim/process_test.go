// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
)

// TestMain lets the test binary be the program: no build, and links work as they do in an image.
func TestMain(m *testing.M) {
	if os.Getenv("SIM_TEST_PROCESS") != "" {
		os.Exit(run(os.Args))
	}
	os.Exit(m.Run())
}

// process is a simulated program under its own name.
type process struct {
	*exec.Cmd
	log bytes.Buffer
}

func program(t *testing.T, env []string, argv ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), argv[0])
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, link, argv[1:]...)}
	p.Args[0] = argv[0]
	p.Env = append([]string{"SIM_TEST_PROCESS=1", "SIM_SPEED=100", "SIM_SITE_PACKAGES=/nowhere", "SIM_VERSION=0.13.0"}, env...)
	p.Stdout, p.Stderr = &p.log, &p.log
	return p
}

// finish runs it to its end.
func (p *process) finish(t *testing.T) recipe.Exit {
	t.Helper()
	err := p.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status := p.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return recipe.Exit{Signal: int(status.Signal())}
	}
	return recipe.Exit{Code: status.ExitStatus()}
}

// awaitOK polls until the URL answers 200.
func awaitOK(t *testing.T, url string) {
	t.Helper()
	awaitServing(context.Background(), t, url)
}

func awaitServing(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !healthy(ctx, http.DefaultClient, url) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not answer", url)
		case <-tick.C:
		}
	}
}

func TestServersServeTellTheTruthAndStopOnSIGTERM(t *testing.T) {
	for name, c := range map[string]struct {
		argv   []string
		health string
	}{
		"model-engine's vLLM": {[]string{"python", "-m", "vllm_server", "--model", "/", "--served-model-name", "a", "b", "--host", "::", "--port", "PORT"}, "/health"},
		"vllm serve":          {[]string{"vllm", "serve", "/", "--port=PORT"}, "/health"},
		"SGLang":              {[]string{"python3", "-m", "sglang.launch_server", "--model-path", "/", "--host", "::", "--port", "PORT", "--tp-size", "1"}, "/health"},
		"TGI":                 {[]string{"text-generation-launcher", "--hostname", "::", "--model-id", "/", "--num-shard", "2", "--port", "PORT"}, "/health"},
		"LightLLM":            {[]string{"python", "-m", "lightllm.server.api_server", "--model_dir", "/", "--port", "PORT", "--tp", "1"}, "/health"},
		"Triton":              {[]string{"python3", "launch_triton_server.py", "--world_size=4", "--model_repo=./m/", "--http-port", "PORT"}, "/v2/health/ready"},
		"under a launcher":    {[]string{"ddtrace-run", "python", "-m", "vllm_server", "--model", "/", "--port", "PORT"}, "/health"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freeport.Of(t)
			for i := range c.argv {
				c.argv[i] = strings.Replace(c.argv[i], "PORT", port, 1)
			}
			file := filepath.Join(t.TempDir(), "truth.json")
			p := program(t, []string{"SIM_TRUTH=" + file}, c.argv...)
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			awaitOK(t, "http://localhost:"+port+c.health)
			awaitOK(t, "http://localhost:"+port+"/v1/models")
			awaitOK(t, "http://localhost:"+port+"/sim/truth")
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(); err != nil {
				t.Errorf("%v\n%s", err, p.log.String())
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var truth struct {
				Serving, Ended int64
				Phases         map[string]phaseTruth
			}
			if err := json.Unmarshal(raw, &truth); err != nil {
				t.Fatal(err)
			}
			if truth.Serving == 0 || truth.Ended < truth.Serving || len(truth.Phases) < 4 {
				t.Errorf("%s", raw)
			}
		})
	}
}

func TestEveryFailureEndsAsItShouldAndIsRecognised(t *testing.T) {
	for name, c := range map[string]struct {
		exit   recipe.Exit
		reason startup.Reason
	}{
		"cuda_oom":              {recipe.Exit{Code: 1}, "cuda_out_of_memory"},
		"hip_oom":               {recipe.Exit{Code: 1}, "hip_out_of_memory"},
		"kv_cache":              {recipe.Exit{Code: 1}, "kv_cache_too_small"},
		"no_kv_memory":          {recipe.Exit{Code: 1}, "kv_cache_too_small"},
		"gpu_busy":              {recipe.Exit{Code: 1}, "gpu_memory_in_use"},
		"port_in_use":           {recipe.Exit{Code: 1}, "port_in_use"},
		"python_exception":      {recipe.Exit{Code: 1}, "python_exception:KeyError"},
		"download":              {recipe.Exit{Code: 1}, "download_failed"},
		"ray":                   {recipe.Exit{Code: 1}, "ray_incomplete"},
		"otel_missing":          {recipe.Exit{Code: 1}, "otel_missing"},
		"engine_ready_then_die": {recipe.Exit{Code: 1}, "python_exception:HarmonyError"},
		"bad_flag":              {recipe.Exit{Code: 2}, "bad_flag"},
		"silent_kill":           {recipe.Exit{Signal: 9}, "killed"},
		"exit0":                 {recipe.Exit{}, "exited_early"},
		"exit3":                 {recipe.Exit{Code: 3}, "exit_code=3"},
	} {
		for _, version := range []string{"0.6.6", "0.13.0", "0.19.0"} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				p := program(t, []string{"SIM_FAIL=" + name, "SIM_VERSION=" + version}, "python", "-m", "vllm_server", "--model", "/", "--port", freeport.Of(t))
				exit := p.finish(t)
				if exit != c.exit {
					t.Errorf("ended with %+v, want %+v\n%s", exit, c.exit, p.log.String())
				}
				got, err := recipe.ReadLog(bytes.NewReader(p.log.Bytes()), recipe.LogOptions{Engine: "vllm", Exit: &exit})
				if err != nil {
					t.Fatalf("%v\n%s", err, p.log.String())
				}
				if got.Outcome != recipe.OutcomeFailed || got.Reason != c.reason {
					t.Errorf("%s %q, want %q\n%s", got.Outcome, got.Reason, c.reason, p.log.String())
				}
			})
		}
	}
}

func TestFlagsAreParsedAsArgparseDoes(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		args    string
		err     string // in usage, empty: accepted
	}{
		"both forms of a value":             {"0.13.0", "--model m --port=1 --host ::", ""},
		"several values":                    {"0.13.0", "--model m --served-model-name a b --port 1", ""},
		"an unknown flag":                   {"0.13.0", "--model m --nonsense", "unrecognized arguments: --nonsense"},
		"a positional too many":             {"0.13.0", "--model m stray", "unrecognized arguments: stray"},
		"a flag of a later version":         {"0.5.0", "--model m --otlp-traces-endpoint http://x", "unrecognized arguments: --otlp-traces-endpoint http://x"},
		"the flag in its first version":     {"0.5.1", "--model m --otlp-traces-endpoint=http://x", ""},
		"a flag that was removed":           {"0.13.0", "--model m --disable-log-requests", "unrecognized arguments: --disable-log-requests"},
		"a missing value":                   {"0.13.0", "--model m --port", "argument --port: expected one argument"},
		"a value that is no number":         {"0.13.0", "--model m --port x", "argument --port: invalid int value: 'x'"},
		"a value where none is taken":       {"0.13.0", "--model m --enforce-eager=yes", "argument --enforce-eager: ignored explicit argument 'yes'"},
		"an unambiguous prefix":             {"0.13.0", "--model m --tensor-par 2", ""},
		"an ambiguous prefix":               {"0.13.0", "--model m --max-num 2", "ambiguous option: --max-num could match --max-num-batched-tokens, --max-num-seqs"},
		"underscores":                       {"0.13.0", "--model m --tensor_parallel_size 2", ""},
		"a short form":                      {"0.13.0", "--model m -tp 2", ""},
		"a choice that is none":             {"0.13.0", "--model m --dtype int3", "argument --dtype: invalid choice: 'int3'"},
		"an empty value after an equals":    {"0.13.0", "--model m --otlp-traces-endpoint=", ""},
		"a negative number is not a flag":   {"0.13.0", "--model m --seed -1", ""},
		"a flag's value that is a flag":     {"0.13.0", "--model --port 1", "argument --model: expected one argument"},
		"model-engine's whole command line": {"0.13.0", "--model model_files --served-model-name n model_files --port 5005 --host :: --max-model-len 65536 --enforce-eager --tensor-parallel-size 4 --chat-template t --tool-call-parser llama3_json --enable-auto-tool-choice --gpu-memory-utilization 0.95", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := vllm.parser("vllm_server.py", c.version).parse(strings.Fields(c.args))
			switch {
			case err == nil && c.err != "", err != nil && (c.err == "" || !strings.HasPrefix(err.Error(), c.err)):
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}

func TestUnknownFlagsEndWithUsageAndStatus2(t *testing.T) {
	p := program(t, nil, "python", "-m", "vllm_server", "--model", "m", "--nonsense")
	if exit := p.finish(t); exit.Code != 2 || !strings.HasPrefix(p.log.String(), "usage: ") {
		t.Errorf("%+v\n%s", exit, p.log.String())
	}
}

func TestBatchEndsWithStatus0AfterItsPrompts(t *testing.T) {
	p := program(t, []string{"SIM_SPEED=100"}, "ddtrace-run", "python", "vllm_batch.py")
	exit := p.finish(t)
	got, err := recipe.ReadLog(bytes.NewReader(p.log.Bytes()), recipe.LogOptions{Engine: "batch", Exit: &exit})
	if err != nil || exit.Code != 0 || got.Outcome != recipe.OutcomeEngineReady {
		t.Errorf("%v %+v %s\n%s", err, exit, got.Outcome, p.log.String())
	}
}

func TestForwarderIsReadyOnceTheServerHasAnswered(t *testing.T) {
	port, main := freeport.Of(t), freeport.Of(t)
	forwarder := program(t, []string{"SIM_FORWARD_URL=http://localhost:" + main + "/health"}, "ddtrace-run", "python", "-m",
		"model_engine_server.inference.forwarding.http_forwarder", "--config", "/c.yaml", "--port", port, "--num-workers", "2",
		"--set", "forwarder.sync.healthcheck_route=/health", "--set", "forwarder.sync.routes=['/predict']")
	if err := forwarder.Start(); err != nil {
		t.Fatal(err)
	}
	server := program(t, nil, "python", "-m", "vllm_server", "--model", "/", "--port", main)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	awaitOK(t, "http://localhost:"+port+"/readyz")
	for _, p := range []*process{forwarder, server} {
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil {
			t.Errorf("%v\n%s", err, p.log.String())
		}
	}
}
