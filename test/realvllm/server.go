// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	pollEvery = 20 * time.Millisecond
	// patience is for whatever a start or an end needs on a machine that others use, too.
	patience = 10 * time.Minute
	// lastWords is for those who hold a server's outputs when it has ended.
	lastWords = 10 * time.Second
)

// line is one line of output and when it came.
type line struct {
	at     time.Time
	stderr bool
	text   string
}

// server is a started command, watched by a clock of its own.
type server struct {
	name  string
	port  int
	began time.Time
	cmd   *exec.Cmd
	log   *os.File

	ready  chan struct{} // closed at the first 200
	exited chan struct{}
	silent chan struct{} // closed when its outputs are: what it started may outlive it

	mu      sync.Mutex
	readyAt time.Time
	endedAt time.Time
	lines   []line
	grown   chan struct{}
}

// launch starts a command. Where port is 0 nobody asks it for health.
func (b *bench) launch(ctx context.Context, name string, argv, env []string, port int) (*server, error) {
	s := &server{name: name, port: port, ready: make(chan struct{}), silent: make(chan struct{}), exited: make(chan struct{}), grown: make(chan struct{})}
	var err error
	if s.log, err = os.Create(b.at("log", regexp.MustCompile(`[^\w.]+`).ReplaceAllString(name, "-")+".log")); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(argv[0], argv[1:]...) //nolint:noctx // sweep ends it, with all it started
	s.cmd.Env, s.cmd.Dir = env, b.at("work")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a terminal's Ctrl-C is for us
	var readers, writers [2]*os.File
	for i := range readers {
		if readers[i], writers[i], err = os.Pipe(); err != nil {
			return nil, err
		}
		defer writers[i].Close()
	}
	s.cmd.Stdout, s.cmd.Stderr = writers[0], writers[1]
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	b.own.Store(s.cmd.Process.Pid, true)
	var outputs sync.WaitGroup
	for i, r := range readers {
		outputs.Go(func() { s.read(r, i == 1) })
	}
	go func() {
		outputs.Wait()
		close(s.silent)
	}()
	go func() {
		_ = s.cmd.Wait() // its code is read from the state
		s.mu.Lock()
		s.endedAt = time.Now()
		s.mu.Unlock()
		close(s.exited)
	}()
	if port != 0 {
		go s.poll(ctx)
	}
	return s, nil
}

func (s *server) read(r *os.File, stderr bool) {
	defer r.Close()
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadString('\n')
		if text != "" {
			s.mu.Lock()
			s.lines = append(s.lines, line{time.Now(), stderr, text})
			fmt.Fprintf(s.log, "%8.3f %v %s", time.Since(s.began).Seconds(), map[bool]string{false: "1", true: "2"}[stderr], text)
			close(s.grown)
			s.grown = make(chan struct{})
			s.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func (s *server) url(path string) string { return "http://127.0.0.1:" + strconv.Itoa(s.port) + path }

// poll notes the first 200.
func (s *server) poll(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !s.listens() || s.ask("/health", nil) != nil {
		select {
		case <-ctx.Done():
			return
		case <-s.exited:
			return
		case <-tick.C:
		}
	}
	s.mu.Lock()
	s.readyAt = time.Now()
	s.mu.Unlock()
	close(s.ready)
}

// listens is a cheap question, for the long time until there is anybody.
func (s *server) listens() bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.port)) //nolint:noctx // on this machine it is refused at once
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// client has no kept connections, so that each question finds out whether the server still takes new ones.
var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask gets a path, or posts a body to it, and wants 200.
func (s *server) ask(path string, body []byte) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.url(path), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01") // sampled
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // of use only within this error
		return fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// complete has a completion made, of a model by the name that it was started with.
func (s *server) complete(model string) error {
	return s.ask("/v1/completions", fmt.Appendf(nil, `{"model":%q,"prompt":"w1 w2 w3","max_tokens":3}`, model))
}

// awaitReady waits for the first 200.
func (s *server) awaitReady(ctx context.Context) error {
	return s.await(ctx, s.ready, s.exited, "ready")
}

// awaitExit waits for the end, which must come before something else.
func (s *server) awaitExit(ctx context.Context, before <-chan struct{}) error {
	return s.await(ctx, s.exited, before, "ended")
}

func (s *server) await(ctx context.Context, done, wrong <-chan struct{}, what string) error {
	select {
	case <-done:
		return nil
	case <-wrong:
		return fmt.Errorf("%s was not %s: it %s", s.name, what, s.fate())
	case <-time.After(patience):
		return fmt.Errorf("%s was not %s within %s", s.name, what, patience)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fate is what has become of it.
func (s *server) fate() string {
	if s.exitedAlready() {
		return fmt.Sprintf("exited with %d", s.code())
	}
	return "became ready"
}

// awaitLine waits for a line and returns its groups and when it came.
func (s *server) awaitLine(ctx context.Context, pattern *regexp.Regexp) ([]string, time.Time, error) {
	deadline := time.After(patience)
	for seen := 0; ; {
		s.mu.Lock()
		lines, grown := s.lines[seen:], s.grown
		s.mu.Unlock()
		for _, l := range lines {
			if m := pattern.FindStringSubmatch(l.text); m != nil {
				return m, l.at, nil
			}
		}
		seen += len(lines)
		select {
		case <-grown:
		case <-s.exited:
			return nil, time.Time{}, fmt.Errorf("%s exited with %d before it wrote %s", s.name, s.code(), pattern)
		case <-deadline:
			return nil, time.Time{}, fmt.Errorf("%s never wrote %s", s.name, pattern)
		case <-ctx.Done():
			return nil, time.Time{}, ctx.Err()
		}
	}
}

// stop sends a signal and tells how long the end took.
func (s *server) stop(ctx context.Context, sig syscall.Signal) (time.Duration, error) {
	began := time.Now()
	if err := s.cmd.Process.Signal(sig); err != nil {
		return 0, err
	}
	err := s.awaitExit(ctx, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endedAt.Sub(began), err
}

func (s *server) exitedAlready() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// code is the exit code, as a shell tells it.
func (s *server) code() int {
	if status := s.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.cmd.ProcessState.ExitCode()
}

var (
	digits = regexp.MustCompile(`\d+(\.\d+)?`)
	bars   = regexp.MustCompile(`\[[^\]]*(it/s|s/it|\?)[^\]]*\]`)
)

// complaints are the lines of standard error, without what differs from run to run, and how often each came. Python's resource
// tracker ends after the server, and may have something to say.
func (s *server) complaints() map[string]int {
	select {
	case <-s.silent:
	case <-time.After(lastWords):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for _, l := range s.lines {
		if l.stderr {
			out[digits.ReplaceAllString(bars.ReplaceAllString(l.text, ""), "N")]++
		}
	}
	return out
}
