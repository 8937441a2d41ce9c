// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
	"github.com/coldtrace/coldtrace/test/otlptest"
	"github.com/coldtrace/coldtrace/test/program"
)

const podUID = "0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10"

// image is a folder with programs as a model server's image has them: the simulated engine as python, and s5cmd.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sim, err := program.Build("test/sim")
	if err != nil {
		t.Fatal(err)
	}
	if err := place(sim[0], filepath.Join(dir, "python")); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nhead -c 5000000 /dev/zero > \"$(dirname $0)/model\"\nsleep 0.3\necho cp s3://bucket/key model\nexit ${S5CMD_EXIT:-0}\n"
	if err := os.WriteFile(filepath.Join(dir, "s5cmd"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func traced(dir, endpoint string, more ...string) []string {
	return append(quiet(
		"PATH="+dir+":/usr/bin:/bin", "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "COLDTRACE_FLUSH_TIMEOUT=10s", "SIM_SPEED=20",
		"SIM_TRUTH="+dir+"/truth.json", "COLDTRACE_CONTAINER="+strings.ReplaceAll(filepath.Base(filepath.Dir(dir)), "/", "-")+"-test",
		"COLDTRACE_ENDPOINT_NAME=llama", "COLDTRACE_NUM_GPUS=2",
	)[2:], more...)
}

// begin starts a wrapped script and ends it with the test.
func begin(t *testing.T, env []string, script string) *exec.Cmd {
	t.Helper()
	return beginAs(t, env, wrapped("bash", "-c", script))
}

func beginAs(t *testing.T, env, argv []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.SysProcAttr = env, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A shell that dies of SIGTERM leaves its server behind, in the group that the shell led.
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", cmd.Process.Pid)) // gone: it left nobody
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		for _, child := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				_ = syscall.Kill(-pid, syscall.SIGKILL)
			}
		}
		matches, _ := filepath.Glob("/dev/shm/.coldtrace-*-test.attempt") // the pattern is well formed
		for _, m := range matches {
			_ = os.Remove(m)
		}
	})
	return cmd
}

// eventually asks until the answer is yes, and reports whether it was in time.
func eventually(within time.Duration, yes func() bool) bool {
	again, over := time.NewTicker(10*time.Millisecond), time.After(within)
	defer again.Stop()
	for {
		if yes() {
			return true
		}
		select {
		case <-again.C:
		case <-over:
			return yes()
		}
	}
}

func TestAStartIsToldAsItWas(t *testing.T) {
	dir, r, port := image(t), otlptest.New(t), freeport.Of(t)
	begin(t, traced(dir, "http://"+r.GRPC), "set -e; s5cmd cp s3://bucket/key model; python -m vllm_server --model m --port "+port+" --host ::")
	if _, ok := r.WaitSpan(60*time.Second, startup.SpanStartup); !ok {
		t.Fatalf("no start in %+v", r.Spans())
	}
	var truth struct {
		Phases map[string]struct{ Start, End int64 } `json:"phases"`
	}
	b, err := os.ReadFile(dir + "/truth.json")
	if err == nil {
		err = json.Unmarshal(b, &truth)
	}
	if err != nil || len(truth.Phases) < 6 {
		t.Fatalf("%v %s", err, b)
	}
	got := map[string]otlptest.Span{}
	for _, s := range r.Spans() {
		if other, twice := got[s.Name]; twice && s.ID == other.ID {
			t.Errorf("%s was sent twice", s.Name)
		} else if twice && s.End.Sub(s.Start) < other.End.Sub(other.Start) {
			continue // the shorter part of a phase that another interrupts
		}
		got[s.Name] = s
		if s.TraceID != startup.MD5.TraceID(podUID).String() || s.Error != "" || s.Attributes["endpoint_name"] != "llama" {
			t.Errorf("%+v", s)
		}
	}
	for name, want := range truth.Phases {
		s, ok := got[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		for edge, off := range map[string]time.Duration{
			"start": time.Duration(s.Start.UnixNano() - want.Start), "end": time.Duration(s.End.UnixNano() - want.End),
		} {
			if off.Abs() > 100*time.Millisecond {
				t.Errorf("the %s of %s is off by %v", edge, name, off)
			}
		}
	}
	d := got[startup.SpanS5cmdDownload]
	if took := d.End.Sub(d.Start); took < 300*time.Millisecond || d.Attributes["bytes"].(int64) < 5_000_000 || d.Attributes["files"] != int64(1) {
		t.Errorf("download: %v %+v", took, d)
	}
	for child, parent := range map[string]string{
		"startup": "pod_startup", "s5cmd_download": startup.KeyInContainer, "vllm_init": startup.KeyInContainer,
		"server_ready": startup.KeyInContainer, "model_load": "vllm_init", "weights_load": "model_load",
	} {
		if got[child].ParentID != startup.MD5.SpanID(podUID, parent).String() {
			t.Errorf("%s is not in %s", child, parent)
		}
	}
	if !r.Wait(5*time.Second, func() bool { return len(r.Points()) >= len(got)+3 }) {
		t.Errorf("%d points", len(r.Points()))
	}
}

func TestAFailureIsToldWhereItHappened(t *testing.T) {
	dir := image(t)
	for name, c := range map[string]struct {
		env    []string
		script string
		code   int
		phase  string
		reason string
		start  string
	}{
		"out of memory": {
			[]string{"SIM_FAIL=cuda_oom"}, "python -m vllm_server --model m", 1, "vllm_init", "cuda_out_of_memory", "cuda_out_of_memory",
		},
		"killed without a word": {
			[]string{"SIM_FAIL=silent_kill"}, "python -m vllm_server --model m", 137, "vllm_init", "killed", "killed",
		},
		"an unknown flag": {
			[]string{"COLDTRACE_ENGINE=vllm"}, "python -m vllm_server --no-such-flag", 2, "startup", "bad_flag", "bad_flag",
		},
		"a download that failed": {
			[]string{"S5CMD_EXIT=1"}, "set -e; s5cmd cp a b; python -m vllm_server", 1, "s5cmd_download", "download_failed", "exit_code=1",
		},
		"dead after the engine was ready": {
			[]string{"SIM_FAIL=engine_ready_then_die"}, "python -m vllm_server --model m", 1, "server_ready", "", "",
		},
		"nothing of ours": {nil, "sleep 0.1; exit 3", 3, "startup", "exit_code=3", "exit_code=3"},
	} {
		t.Run(name, func(t *testing.T) {
			r := otlptest.New(t)
			cmd := exec.Command(wrapper, "run", "--", "bash", "-c", c.script)
			cmd.Env, cmd.SysProcAttr = traced(dir, "http://"+r.GRPC, c.env...), &syscall.SysProcAttr{Setsid: true}
			err := cmd.Run()
			if code := status(cmd.ProcessState); code != c.code {
				t.Errorf("exit %d, %v, want %d", code, err, c.code)
			}
			// The wrapper has ended: everything must have been sent.
			byName := map[string]otlptest.Span{}
			for _, s := range r.Spans() {
				byName[s.Name] = s
			}
			if s, ok := byName[c.phase]; !ok || s.Error == "" || c.reason != "" && s.Error != c.reason {
				t.Errorf("%s: %+v", c.phase, s)
			}
			if s, ok := byName["startup"]; !ok || s.Error == "" || c.start != "" && s.Error != c.start {
				t.Errorf("startup: %+v", s)
			}
		})
	}
}

func TestTerminationBeforeReadyIsTold(t *testing.T) {
	dir, r := image(t), otlptest.New(t)
	file := filepath.Join(dir, "status.json")
	cmd := begin(t, traced(dir, "http://"+r.GRPC, "SIM_SPEED=1", "COLDTRACE_STATUS_FILE="+file),
		"python -m vllm_server --model m --port "+freeport.Of(t))
	if !eventually(30*time.Second, func() bool {
		b, err := os.ReadFile(file)
		return err == nil && bytes.Contains(b, []byte(`"phase":"vllm_init"`))
	}) {
		t.Fatal("the engine never began")
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	s, ok := r.WaitSpan(time.Second, startup.SpanStartup)
	if !ok || s.Error != "terminated" {
		t.Errorf("%+v", r.Spans())
	}
	if s, ok = r.WaitSpan(time.Second, startup.SpanVLLMInit); !ok || s.Error != "terminated" {
		t.Errorf("%+v", r.Spans())
	}
}

// A shell that waits for its server lets SIGTERM go by as the first process.
func TestAStartThatGoesOnAfterSIGTERMIsReadyInTheEnd(t *testing.T) {
	dir, r := image(t), otlptest.New(t)
	file := filepath.Join(dir, "status.json")
	cmd := beginAs(t, traced(dir, "http://"+r.GRPC, "SIM_SPEED=5", "COLDTRACE_STATUS_FILE="+file), firstProcess(t,
		wrapped("bash", "-c", "python -m vllm_server --model m --port "+freeport.Of(t)+"; exit $?")))
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	says := func(text string) func() bool {
		return func() bool {
			b, err := os.ReadFile(file)
			return err == nil && bytes.Contains(b, []byte(text))
		}
	}
	if !eventually(30*time.Second, says(`"phase":"vllm_init"`)) {
		t.Fatal("the engine never began")
	}
	if err := syscall.Kill(childOf(t, cmd.Process.Pid), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{startup.SpanStartup, startup.SpanVLLMInit} {
		if s, ok := r.WaitSpan(10*time.Second, name); !ok || s.Error != "terminated" {
			t.Errorf("at the signal: %+v", s)
		}
	}
	if !eventually(60*time.Second, says(`"state":"ready"`)) {
		t.Fatal("it did not become ready")
	}
	if !eventually(10*time.Second, func() bool {
		last := map[string]otlptest.Span{}
		for _, s := range r.Spans() {
			last[s.Name] = s
		}
		return last[startup.SpanStartup].Error == "" && last[startup.SpanVLLMInit].Error == "" && last[startup.SpanServerReady].Name != ""
	}) {
		t.Errorf("in the end: %+v", r.Spans())
	}
}

func TestAStartThatTakesTooLongIsTold(t *testing.T) {
	dir, r := image(t), otlptest.New(t)
	begin(t, traced(dir, "http://"+r.GRPC, "SIM_FAIL=hang", "COLDTRACE_TIMEOUT=3s"), "python -m vllm_server --model m --port "+freeport.Of(t))
	s, ok := r.WaitSpan(30*time.Second, startup.SpanStartup)
	if !ok || s.Error != "timed_out" || s.End.Sub(s.Start) < 2900*time.Millisecond {
		t.Errorf("%+v", r.Spans())
	}
}

func TestACollectorThatIsNotThereCostsAFailedCommandTheFlushTimeoutAtMost(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	for name, endpoint := range map[string]string{"refuses": "http://127.0.0.1:1", "is a black hole": "http://" + hole.Addr().String(), "is no URL": "nonsense://"} {
		env := quiet("OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "COLDTRACE_FLUSH_TIMEOUT=500ms")
		env = append(env[6:], env[:4]...)
		began := time.Now()
		o := run(t, env, wrapped("sh", "-c", "sleep 0.2; exit 7"), "")
		if took := time.Since(began); o.code != 7 || took > 3*time.Second {
			t.Errorf("a collector that %s: %+v after %v", name, o, took)
		}
	}
}

// A scale-down does not wait for a collector that is away: its server had all the time to send what is left.
func TestACollectorThatIsNotThereDoesNotHoldUpTheEndOfAServerThatWasReady(t *testing.T) {
	dir, port := image(t), freeport.Of(t)
	file := filepath.Join(dir, "status.json")
	cmd := begin(t, traced(dir, "http://127.0.0.1:1", "COLDTRACE_STATUS_FILE="+file, "COLDTRACE_FLUSH_TIMEOUT=10s"), "exec python -m vllm_server --model m --port "+port)
	ready := func() bool {
		text, _ := os.ReadFile(file) // not there yet
		return strings.Contains(string(text), `"state":"ready"`)
	}
	if !eventually(60*time.Second, ready) {
		t.Fatal("never ready")
	}
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if took := time.Since(began); took > 5*time.Second { // 1 s of the 10, and what the server takes
		t.Errorf("its end took %v", took)
	}
}

func TestTheLiveState(t *testing.T) {
	dir, r, port, startupz := image(t), otlptest.New(t), freeport.Of(t), freeport.Of(t)
	file := filepath.Join(dir, "status.json")
	begin(t, traced(dir, "http://"+r.GRPC, "COLDTRACE_STATUS_FILE="+file, "COLDTRACE_STARTUPZ=127.0.0.1:"+startupz),
		"python -m vllm_server --model m --port "+port)
	if _, ok := r.WaitSpan(60*time.Second, startup.SpanStartup); !ok {
		t.Fatal("never ready")
	}
	var state struct {
		State  string
		Phases []struct {
			Name            string
			DurationSeconds float64 `json:"duration_seconds"`
		}
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil || state.State != "ready" || len(state.Phases) < 5 {
		t.Errorf("%v %s", err, b)
	}
	out, err := exec.Command("curl", "-s", "-w", "%{http_code}", "http://127.0.0.1:"+startupz+"/startupz").Output()
	if err != nil || !bytes.Contains(out, []byte(`"state":"ready"`)) || !bytes.HasSuffix(out, []byte("200")) {
		t.Errorf("%v %s", err, out)
	}
}

func TestWhatTheReceiverRefusesIsCounted(t *testing.T) {
	dir, r, port := image(t), otlptest.New(t), freeport.Of(t)
	file := filepath.Join(dir, "status.json")
	var asked atomic.Int32
	r.Answers(func() error {
		if asked.Add(1) <= 2 { // the download's span, and its values
			return grpcstatus.Error(codes.InvalidArgument, "no")
		}
		return nil
	})
	begin(t, traced(dir, "http://"+r.GRPC, "COLDTRACE_STATUS_FILE="+file, "SIM_SPEED=4"), "s5cmd cp s3://bucket/key model; python -m vllm_server --model m --port "+port)
	start, ok := r.WaitSpan(60*time.Second, startup.SpanStartup)
	lost, _ := start.Attributes[startup.AttrTelemetryDropped].(int64)
	if !ok || lost < 2 || slices.ContainsFunc(r.Spans(), func(s otlptest.Span) bool { return s.Name == startup.SpanS5cmdDownload }) {
		t.Errorf("%d were dropped of %+v", lost, r.Spans())
	}
	if b, err := os.ReadFile(file); err != nil || !bytes.Contains(b, fmt.Appendf(nil, `"dropped":%d`, lost)) {
		t.Errorf("%v %s", err, b)
	}
}

func TestTheSecondAttemptHasIDsOfItsOwn(t *testing.T) {
	r := otlptest.New(t)
	env := traced("/none", "http://"+r.GRPC, "COLDTRACE_CONTAINER=attempt-"+strconv.Itoa(os.Getpid())+"-test")
	t.Cleanup(func() {
		_ = os.Remove(fmt.Sprintf("/dev/shm/.coldtrace-attempt-%d-test.attempt", os.Getpid()))
	})
	for i := range 2 {
		if o := run(t, env, wrapped("bash", "-c", "sleep 0.1; exit 1"), ""); o.code != 1 {
			t.Fatalf("%+v", o)
		}
		spans := r.Spans()
		if len(spans) != i+1 || spans[i].ID != startup.MD5.SpanID(podUID, startup.Key(startup.SpanStartup, "", i+1)).String() {
			t.Errorf("%+v", spans)
		}
	}
}
