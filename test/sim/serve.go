// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// serve is the life of a model server: flags, start-up log, then answers until it is told to stop.
func serve(e engine, program string, args []string) int {
	start := time.Now()
	version := simulatedVersion()
	flags := e.parser(program, version)
	given, err := flags.parse(args)
	if err != nil {
		flags.complain(os.Stderr, err)
		return 2
	}
	stop := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		close(stop)
	}()
	s := newServer(e, given, version, start, stop)
	code := s.life()
	s.truth.ended(code, s.truth.record.Failed)
	if err := s.truth.save(); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
	}
	return code
}

type server struct {
	engine engine
	player *player
	truth  *truth
	given  arguments
	http   *httpServer
	stop   <-chan struct{}
	once   sync.Once
}

func newServer(e engine, given arguments, version string, start time.Time, stop <-chan struct{}) *server {
	s := &server{engine: e, given: given, truth: newTruth(e.name, version, start), stop: stop}
	host, port := given.get(e.hostFlag, e.host), given.get(e.portFlag, e.port)
	model := given.get(e.modelFlag, "")
	if model == "" {
		model = given.get("", "simulated/model-1b")
	}
	ranks, err := strconv.Atoi(given.get(e.ranksFlag, "1"))
	if err != nil || ranks < 1 {
		ranks = 1
	}
	eager := given.has("--enforce-eager") || given.has("--disable-cuda-graph")
	warm := os.Getenv("SIM_COMPILE_CACHE") == "warm"
	s.player = &player{
		out: os.Stdout, err: os.Stderr, version: version, speed: speed(), ranks: ranks, truth: s.truth, stop: stop, log: os.Getenv("SIM_LOG"),
		facts: map[string]bool{
			"eager": eager, "compile": !eager, "warm": warm, "cold": !warm, "download": !isDir(model), "vllm": e.name == "vllm", "batch": e.batch,
		},
		values: map[string]string{
			"model": model, "host": host, "port": port, "tp": strconv.Itoa(ranks), "eager": title(eager),
			"hostport": net.JoinHostPort(orAny(host), port),
		},
	}
	s.player.fail, s.player.warming = s.fail, func() error { return s.listen(false) }
	s.http = newHTTPServer(s, host, port)
	return s
}

// speed divides the script's gaps: SIM_SPEED=10 starts in a tenth of the time.
func speed() float64 {
	v, err := strconv.ParseFloat(os.Getenv("SIM_SPEED"), 64)
	if err != nil || v <= 0 {
		return 1
	}
	return v
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func title(b bool) string {
	s := strconv.FormatBool(b)
	return strings.ToUpper(s[:1]) + s[1:]
}

func orAny(host string) string {
	if host == "" || host == "None" {
		return "0.0.0.0"
	}
	return host
}

func (s *server) life() int {
	steps, err := readScript(s.engine.script(s.player.version))
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		return 70
	}
	var dead died
	switch err := s.player.play(steps); {
	case errors.As(err, &dead):
		return dead.code
	case errors.Is(err, stopped{}):
		return 143
	case errors.Is(err, errBatchDone):
		return 0
	case errors.Is(err, syscall.EADDRINUSE):
		return 1
	case err != nil:
		fmt.Fprintln(os.Stderr, "sim:", err)
		return 70
	}
	if err := s.listen(true); err != nil {
		return 1
	}
	<-s.stop
	return s.farewell()
}

var errBatchDone = errors.New("batch done")

// fail is where things can go wrong: because SIM_FAIL says so, because tracing can't be had, or because the port is taken.
func (s *server) fail(point string) (int, bool) {
	if code, dead := s.player.strike(point); dead {
		return code, true
	}
	switch {
	case point == "listen-early" && s.given.has(tracesFlag):
		return s.traced()
	case point == "engine-ready" && s.engine.batch:
		return s.batch(), true
	}
	return 0, false
}

// traced is vLLM with request tracing asked for.
func (s *server) traced() (int, bool) {
	v := s.player.version
	if lines := tracingCrash(v); lines != nil {
		s.truth.mu.Lock()
		s.truth.record.Failed = "otel_missing"
		s.truth.mu.Unlock()
		return s.player.raise(false, lines...), true
	}
	if !older(v, "0.8") && older(v, "0.10.2") {
		if os.Getenv("VLLM_USE_V1") == "1" {
			return s.player.raise(false, "NotImplementedError: VLLM_USE_V1=1 is not supported with --otlp-traces-endpoint."), true
		}
		s.player.mutter("out", "{WARNING arg_utils.py:1536} --otlp-traces-endpoint is not supported by the V1 Engine. Falling back to V0. ")
	}
	return 0, false
}

// batch answers all prompts of a job, and is done.
func (s *server) batch() int {
	for i := range 5 {
		text := fmt.Sprintf("\rProcessed prompts: %3d%%|%-10s| %d/4 [00:0%d<00:00,  1.00it/s]", 25*i, strings.Repeat("█", 10*i/4), i, i)
		if err := s.player.write("err", text); err != nil {
			return 1
		}
		if err := s.player.wait(500 * time.Millisecond); err != nil {
			return 143
		}
	}
	s.player.mutter("err", "")
	return 0
}

// listen opens the port, once; healthy says what /health answers from now on.
func (s *server) listen(healthy bool) error {
	var err error
	s.once.Do(func() { err = s.http.open() })
	if err != nil {
		s.player.raise(false, "OSError: [Errno 98] "+escape(err.Error()))
		return err
	}
	if healthy {
		s.http.healthy.Store(true)
		s.truth.serving(time.Now())
		if err := s.truth.save(); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
		}
	}
	return nil
}

// farewell stops as uvicorn does.
func (s *server) farewell() int {
	s.player.mutter("err", "{api}INFO:     Shutting down")
	s.http.close()
	s.player.mutter("err", "{api}INFO:     Waiting for application shutdown.")
	s.player.mutter("err", "{api}INFO:     Application shutdown complete.")
	s.player.mutter("err", "{api}INFO:     Finished server process [{pid}]")
	return 0
}

func (p *player) stopOrSoon() <-chan time.Time { return time.After(time.Second) }
