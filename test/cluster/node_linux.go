// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// File descriptors that the keeper hands to the node.
const (
	progressFD = 3 // the node writes progress lines, then readyLine or failedLine
	keeperFD   = 4 // the keeper writes the network; its end of file is the keeper's death
)

const (
	readyLine  = "READY"
	failedLine = "FAILED "
)

// node is PID 1 of the cluster's namespaces: the machine that the kubelet believes it runs on.
type node struct {
	l      layout
	n      network
	cgroup string
	reaper *reaper
	env    []string

	mu      sync.Mutex
	started map[string]*child // by component or add-on name; what has ended stays
}

// runNode never returns while the cluster lives. When it ends, the kernel kills what is left in its PID
// namespace and takes mounts, network and iptables rules with it.
func runNode(l layout) error {
	progressPipe := os.NewFile(progressFD, "progress")
	keeperPipe := os.NewFile(keeperFD, "keeper")
	syscall.CloseOnExec(progressFD)
	syscall.CloseOnExec(keeperFD)

	nd := &node{l: l, cgroup: cgroupName(l.dir), started: map[string]*child{}}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	keeper := bufio.NewReader(keeperPipe)
	if err := readNetwork(keeper, &nd.n); err != nil {
		return err
	}
	go func() {
		_, err := io.Copy(io.Discard, keeper)
		cancel(fmt.Errorf("keeper is gone: %w", errors.Join(err, io.EOF)))
	}()

	if err := nd.boot(ctx, newProgress(progressPipe)); err != nil {
		fmt.Fprintln(progressPipe, failedLine+err.Error())
		nd.end()
		return err
	}
	fmt.Fprintln(progressPipe, readyLine)
	if err := progressPipe.Close(); err != nil {
		return fmt.Errorf("close progress: %w", err)
	}
	<-ctx.Done()
	nd.end()
	return nil
}

func readNetwork(r *bufio.Reader, n *network) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read network: %w", err)
	}
	if err := json.Unmarshal(line, n); err != nil {
		return fmt.Errorf("parse network: %w", err)
	}
	return nil
}

// end kills everything else in the namespace and removes what outlives it.
func (nd *node) end() {
	_ = syscall.Kill(-1, syscall.SIGKILL) // fails only when nothing is left to kill
	if err := removeCgroups(nd.cgroup); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// run starts a named process that logs to run/log/NAME.log.
func (nd *node) run(name string, argv, env []string) (*child, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open null: %w", err)
	}
	defer null.Close()
	log, err := os.OpenFile(nd.l.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	c, err := nd.reaper.start(argv, append(nd.env, env...), []uintptr{null.Fd(), log.Fd(), log.Fd()})
	if err != nil {
		return nil, err
	}
	nd.mu.Lock()
	nd.started[name] = c
	nd.mu.Unlock()
	return c, nil
}

// forget leaves a process out of the status: one that did its work and ended.
func (nd *node) forget(name string) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	delete(nd.started, name)
}

// nodeEnv is the environment of everything that runs in the node; nothing of the caller's gets in.
func nodeEnv(l layout, n network) []string {
	return []string{
		"PATH=" + l.bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"LANG=C.UTF-8",
		"KUBECONFIG=" + l.kubeconfig(),
		"REGISTRY=" + n.NodeIP + ":" + registryPort,
		"NODE_IP=" + n.NodeIP,
	}
}

// prepare makes the new namespaces habitable.
func (nd *node) prepare() error {
	if err := os.MkdirAll(filepath.Join(nd.l.run, "log"), 0o755); err != nil {
		return fmt.Errorf("create log folder: %w", err)
	}
	if err := syscall.Sethostname([]byte(nodeName)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := enterRoot(nd.l, nd.n); err != nil {
		return err
	}
	if err := addressNode(nd.n); err != nil {
		return err
	}
	nd.reaper = newReaper()
	nd.env = nodeEnv(nd.l, nd.n)
	return nil
}
