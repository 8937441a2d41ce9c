// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// reaper starts processes and collects every one that ends, its own and the orphans that PID 1 inherits.
// os/exec waits for single processes, which a loop over all of them would race with.
type reaper struct {
	mu       sync.Mutex
	children map[int]*child
}

// child is a started process.
type child struct {
	pid    int
	done   chan struct{} // closed when it has ended
	status syscall.WaitStatus
}

func newReaper() *reaper {
	r := &reaper{children: map[int]*child{}}
	sigchld := make(chan os.Signal, 1)
	signal.Notify(sigchld, syscall.SIGCHLD)
	go func() {
		for range sigchld {
			r.collect()
		}
	}()
	return r
}

// collect takes all that have ended: several deaths may arrive as one signal.
func (r *reaper) collect() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid == 0 {
			return
		}
		r.mu.Lock()
		c := r.children[pid]
		delete(r.children, pid)
		r.mu.Unlock()
		if c != nil {
			c.status = status
			close(c.done)
		}
	}
}

// start runs argv with the given standard streams in a session of its own.
func (r *reaper) start(argv, env []string, files []uintptr) (*child, error) {
	// Held until the child is known, so that its death can't be collected before.
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	c := &child{pid: pid, done: make(chan struct{})}
	r.children[pid] = c
	return c, nil
}

// exitCode is the shell's convention: 128+n for death by signal n.
func (c *child) exitCode() int {
	if c.status.Signaled() {
		return 128 + int(c.status.Signal())
	}
	return c.status.ExitStatus()
}

func (c *child) ended() <-chan struct{} { return c.done }
