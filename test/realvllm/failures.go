// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// failure is a start that fails, and what is to be told of it.
type failure struct {
	name  string
	model string // empty: the good one
	args  []string
	env   map[string]string
	short bool
	only  string // a version; empty: all

	squat func(port int) (io.Closer, error)          // somebody has the port before
	poke  func(ctx context.Context, s *server) error // what is done to it on the way
	codes []int                                      // of any version; that bare and wrapped agree is asked besides
	told  string                                     // reason, as a regular expression; empty: it is told as ready
	at    string                                     // innermost failed phase, likewise
}

// Lines at which something is done to a start.
var (
	engineLine = regexp.MustCompile(`EngineCore\S* pid=(\d+)\).* Initializing a V1 LLM engine`)
	cacheLine  = regexp.MustCompile(`EngineCore\S* pid=(\d+)\).*KV cache size`)
)

func kill(at *regexp.Regexp) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		found, _, err := s.awaitLine(ctx, at)
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(found[1])
		return errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
}

func send(sig syscall.Signal) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		if _, _, err := s.awaitLine(ctx, engineLine); err != nil {
			return err
		}
		return s.cmd.Process.Signal(sig)
	}
}

// sendAgain is for a server that takes no notice of a signal while it loads, with or without us (0.10 to 0.32).
func sendAgain(ctx context.Context, s *server) error {
	if err := send(syscall.SIGTERM)(ctx, s); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil || s.exitedAlready() {
		return nil //nolint:nilerr // one that ends at the first is as good
	}
	time.Sleep(time.Second) // what is told of its readiness comes first
	return s.cmd.Process.Signal(syscall.SIGTERM)
}

// silent holds a port and answers nothing.
func silent(port int) (io.Closer, error) {
	return net.Listen("tcp", "0.0.0.0:"+strconv.Itoa(port)) //nolint:noctx,gosec // as a server would
}

// answering is a neighbour that finds itself well.
func answering(port int) (io.Closer, error) {
	l, err := silent(port)
	if err != nil {
		return nil, err
	}
	web := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Second}
	go func() { _ = web.Serve(l.(net.Listener)) }()
	return web, nil
}

// early is where a start is before its engine has said what it does.
const early = "^(vllm_init|engine_config|python_import)$"

var failures = []failure{
	{name: "port in use", squat: silent, codes: []int{1}, told: "^port_in_use$", at: early},
	{name: "port in use by one that answers", squat: answering, codes: []int{1}, told: "^port_in_use$", at: early, short: true},
	{name: "bad flag", args: []string{"--no-such-flag"}, codes: []int{2}, told: "^bad_flag$", at: early},
	{name: "no model", model: "absent", codes: []int{1}, told: "^model_not_found$", at: early},
	{name: "unknown architecture", model: "unknown", codes: []int{1}, told: "^model_unsupported$", at: early},
	{name: "truncated weights", model: "truncated", codes: []int{1}, told: "^weights_corrupt$", at: "^(weights_load|model_load)$", short: true},
	{name: "no room for one request", args: []string{"--max-model-len", "5000000", "--max-num-seqs", "2"},
		env:   map[string]string{"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"},
		codes: []int{1}, told: "^kv_cache_too_small$", at: "^(vllm_init|memory_profiling|kv_cache_init)$", short: true},
	{name: "cache larger than memory", env: map[string]string{"VLLM_CPU_KVCACHE_SPACE": "500"},
		codes: []int{1}, told: "^out_of_memory$", at: "^(vllm_init|worker_launch|memory_profiling|kv_cache_init)$"},
	{name: "engine core killed at its first line", poke: kill(engineLine), codes: []int{1}, told: "^(killed|engine_failed)$", at: "^(vllm_init|worker_launch)$"},
	{name: "engine core killed after its cache", poke: kill(cacheLine), codes: []int{1}, told: "^(killed|engine_failed)$",
		at: "^(vllm_init|kv_cache_init|warmup|kernel_warmup)$", short: true},
	{name: "SIGINT while it loads", poke: send(syscall.SIGINT), codes: []int{130}, told: "^terminated$", at: "^(vllm_init|worker_launch|server_ready)$"},
	{name: "SIGTERM while it loads", poke: sendAgain, codes: []int{0, 143}, told: "^(terminated|)$", at: "^(vllm_init|worker_launch|server_ready|)$"},
	// The second rank finds no processors to bind to, while the first goes on.
	{name: "one of two ranks fails", only: "0.16.0", args: []string{"--data-parallel-size", "2"}, env: map[string]string{"VLLM_CPU_OMP_THREADS_BIND": "0"},
		codes: []int{1}, told: "^python_exception:IndexError$", at: "^(vllm_init|worker_launch)$", short: true},
}

func failureCells() (out []cell) {
	for i, e := range engines {
		for j, f := range failures {
			if f.only != "" && f.only != e.version {
				continue
			}
			name := fmt.Sprintf("failure/%s/%s", e.version, f.name)
			out = append(out, cell{name: name, short: f.short && (f.only != "" || i == j%len(engines)), engine: e, run: func(ctx context.Context, b *bench) outcome {
				return b.fails(ctx, name, e, f)
			}})
		}
	}
	return out
}

// fails runs a failure as it is and under the wrapper, side by side: what counts is not when but how they end.
func (b *bench) fails(ctx context.Context, name string, e engine, f failure) (o outcome) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.light = nil // a worker of its own is one more place to fail
	model := f.model
	if model == "" {
		model = "good"
	}
	var servers [2]*server
	var collector *otlptest.Receiver
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i, way := range []string{"bare", "wrapped"} {
		p, err := b.pod(e, shapes[0], model, f.args...)
		if err != nil {
			return failed(err)
		}
		maps.Copy(p.env, f.env)
		if f.squat != nil {
			squatter, err := f.squat(p.port)
			if err != nil {
				return failed(err)
			}
			defer squatter.Close()
		}
		ask := f.squat == nil // a squatter's answer is not the server's
		if way == "wrapped" {
			var t *try
			if t, err = b.wrapped(ctx, name+" "+way, p, ask); err == nil {
				servers[i], collector = t.server, t.collector
			}
		} else {
			argv, env := b.bare(p)
			port := p.port
			if !ask {
				port = 0
			}
			servers[i], err = b.launch(ctx, name+" "+way, argv, env, port)
		}
		if err != nil {
			return failed(err)
		}
		both.Go(func() {
			if f.poke != nil {
				errs[i] = f.poke(ctx, servers[i])
			}
			sooner := servers[i].ready
			if f.poke != nil {
				sooner = nil // it may be ready before its end
			}
			errs[i] = errors.Join(errs[i], servers[i].awaitExit(ctx, sooner))
		})
	}
	both.Wait()
	if err := errors.Join(errs...); err != nil {
		return failed(err)
	}
	if bare, wrapped := servers[0].code(), servers[1].code(); bare != wrapped || !slices.Contains(f.codes, bare) {
		o.fault("exit code %d bare, %d wrapped", bare, wrapped)
	}
	b.blame(&o, f, collector)
	return o
}

// blame holds what was told of a failure against what is right.
func (b *bench) blame(o *outcome, f failure, collector *otlptest.Receiver) {
	if _, ok := collector.WaitSpan(toldWithin, startup.SpanStartup); !ok {
		o.fault("nothing told")
		return
	}
	final := map[string]otlptest.Span{} // what was told early is told again if it turned out otherwise
	for _, s := range collector.Spans() {
		final[s.ID] = s
	}
	spans := slices.Collect(maps.Values(final))
	whole := spans[slices.IndexFunc(spans, func(s otlptest.Span) bool { return s.Name == startup.SpanStartup })]
	var inner []string
	for _, s := range spans {
		blamed := s.Error != "" && s.Name != startup.SpanStartup
		if blamed && !slices.ContainsFunc(spans, func(child otlptest.Span) bool { return child.ParentID == s.ID && child.Error != "" }) {
			inner = append(inner, s.Name)
		}
	}
	at := strings.Join(inner, " and ")
	o.note = strings.TrimSpace(whole.Error + " in " + at)
	if !regexp.MustCompile(f.told).MatchString(whole.Error) {
		o.fault("told reason %q", whole.Error)
	}
	if !regexp.MustCompile(f.at).MatchString(at) {
		o.fault("told phase %q", at)
	}
	if f.at != early {
		o.importBelievable(spans, whole.End.Sub(whole.Start))
	}
	if code, ok := whole.Attributes[startup.AttrExitCode]; whole.Error != "" && (!ok || !slices.Contains(f.codes, int(code.(int64)))) {
		o.fault("told exit code %v", code)
	}
}
