// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// request is what a command outside asks the node to do; its streams come along as file descriptors.
type request struct {
	Op   string // opExec, opStart, opStop, opStatus
	Name string
	Argv []string
	Env  []string
}

const (
	opExec   = "exec"
	opStart  = "start"
	opStop   = "stop"
	opStatus = "status"
)

type response struct {
	Error    string
	ExitCode int
	Running  map[string]int // process ids inside the node, by name
	Ended    map[string]int // exit codes of those that ended, by name
}

// listen serves requests on the node's socket until the node ends.
func (nd *node) listen() error {
	ln, err := listenUnix(nd.l.socket())
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := ln.AcceptUnix()
			if err != nil {
				fmt.Fprintln(os.Stderr, "accept:", err)
				return
			}
			go nd.serve(conn)
		}
	}()
	return nil
}

// The path of a Unix socket is limited to 108 bytes, a checkout's is not: name it by its folder's
// descriptor.
func shortPath(path string) (short string, done func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, fmt.Errorf("open socket folder: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}

func listenUnix(path string) (*net.UnixListener, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("protect socket: %w", err)
	}
	return ln, nil
}

func (nd *node) serve(conn *net.UnixConn) {
	defer conn.Close()
	req, files, err := receive(conn)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var resp response
	if err == nil {
		resp, err = nd.handle(req, files)
	}
	if err != nil {
		resp.Error = err.Error()
	}
	if err := json.NewEncoder(conn).Encode(resp); err != nil {
		fmt.Fprintln(os.Stderr, "respond:", err)
	}
}

// receive reads one request and the descriptors sent with it.
func receive(conn *net.UnixConn) (request, []*os.File, error) {
	buf, oob := make([]byte, 1<<20), make([]byte, 256)
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return request{}, nil, fmt.Errorf("read request: %w", err)
	}
	var files []*os.File
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return request{}, nil, fmt.Errorf("read descriptors: %w", err)
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return request{}, files, fmt.Errorf("read descriptors: %w", err)
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "client"))
		}
	}
	var req request
	if err := json.Unmarshal(buf[:n], &req); err != nil {
		return request{}, files, fmt.Errorf("parse request: %w", err)
	}
	return req, files, nil
}

func (nd *node) handle(req request, files []*os.File) (response, error) {
	switch req.Op {
	case opExec:
		return nd.exec(req, files)
	case opStart:
		return response{}, nd.startAddon(req.Name)
	case opStop:
		return response{}, nd.stopAddon(req.Name)
	case opStatus:
		running, ended := nd.status()
		return response{Running: running, Ended: ended}, nil
	}
	return response{}, fmt.Errorf("unknown request %q", req.Op)
}

func (nd *node) exec(req request, files []*os.File) (response, error) {
	if len(files) != 3 || len(req.Argv) == 0 {
		return response{}, errors.New("exec needs a command and three streams")
	}
	path, err := findToolIn(req.Argv[0], nd.env)
	if err != nil {
		return response{ExitCode: 127}, err
	}
	argv := append([]string{path}, req.Argv[1:]...)
	c, err := nd.reaper.start(argv, append(nd.env, req.Env...), []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()})
	if err != nil {
		return response{ExitCode: 126}, err
	}
	<-c.done
	return response{ExitCode: c.exitCode()}, nil
}

func (nd *node) status() (running, ended map[string]int) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	running, ended = map[string]int{}, map[string]int{}
	for name, c := range nd.started {
		select {
		case <-c.done:
			ended[name] = c.exitCode()
		default:
			running[name] = c.pid
		}
	}
	return running, ended
}

// process is what was last started under that name; nil if nothing was, or if it has ended.
func (nd *node) process(name string) *child {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	c := nd.started[name]
	if c == nil {
		return nil
	}
	select {
	case <-c.done:
		return nil
	default:
		return c
	}
}

// addonTimeout is how long an add-on may take to become ready, or to end after SIGTERM.
const addonTimeout = 30 * time.Second

func (nd *node) startAddon(name string) error {
	a, ok := addons[name]
	if !ok {
		return fmt.Errorf("start %s: no such add-on", name)
	}
	if nd.process(name) != nil {
		return nil
	}
	var env []string
	if a.env != nil {
		env = a.env(nd.l, nd.n)
	}
	if a.dirs != nil {
		for _, dir := range a.dirs(nd.l) {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("create add-on's folder: %w", err)
			}
		}
	}
	c, err := nd.run(name, append([]string{nd.l.exe(a.bin)}, a.argv(nd.l, nd.n)...), env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), addonTimeout)
	defer cancel()
	if err := poll(ctx, c, addonReady(a, nd.n)); err != nil {
		return fmt.Errorf("start %s: %w\n%s", name, err, tail(nd.l.log(name)))
	}
	return nil
}

// stopAddon asks first, so that an add-on can write what it holds.
func (nd *node) stopAddon(name string) error {
	if _, ok := addons[name]; !ok {
		return fmt.Errorf("stop %s: no such add-on", name)
	}
	c := nd.process(name)
	if c == nil {
		return nil
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(c.pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop %s: %w", name, err)
		}
		select {
		case <-c.done:
			return nil
		case <-time.After(addonTimeout):
		}
	}
	return fmt.Errorf("stop %s: it survived SIGKILL", name)
}
