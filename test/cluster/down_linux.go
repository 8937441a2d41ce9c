// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// down ends the cluster and returns when nothing of it is left.
func down(ctx context.Context, l layout, out *progress) error {
	if _, err := os.Stat(l.dir); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(out.w, "No cluster is up.")
		return nil
	}
	unlock, err := lockFile(ctx, filepath.Join(l.dir, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	s, found, err := readState(l)
	if err != nil {
		return err
	}
	if !found {
		fmt.Fprintln(out.w, "No cluster is up.")
		return nil
	}
	return out.step("cluster is down", func() error { return sweep(l, s) })
}

// sweepTimeout covers a machine that is busy with other things: the kernel takes a moment per namespace.
const sweepTimeout = time.Minute

// sweep removes a cluster, running or killed, down to its files; logs stay for a post-mortem.
func sweep(l layout, s state) error {
	// The node first: its keeper then tidies up and ends by itself, as after an accident. The children of
	// a control plane end with theirs.
	if err := endProcess(s.Node, false); err != nil {
		return err
	}
	if err := endProcess(s.Keeper, s.Mode == modeNode); err != nil {
		return err
	}
	for _, p := range s.Children {
		if err := endProcess(p, true); err != nil {
			return err
		}
	}
	if s.Cgroup != "" {
		if err := removeCgroups(s.Cgroup); err != nil {
			return err
		}
	}
	if s.Network.Link != "" {
		if err := deleteLink(s.Network.Link); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(sweepTimeout)
	for s.Network.Link != "" && linkExists(s.Network.Link) {
		if time.Now().After(deadline) {
			return fmt.Errorf("link %s is still there after %s", s.Network.Link, sweepTimeout)
		}
		time.Sleep(pollEvery)
	}
	for _, name := range []string{l.data(""), filepath.Join(l.run, "root"), filepath.Join(l.run, "pki"), l.conf(""), l.socket(), l.kubeconfig(), l.envFile()} {
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("remove files: %w", err)
		}
	}
	// Last, so that a sweep that failed is tried again.
	if err := os.Remove(l.state()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove state: %w", err)
	}
	return nil
}

// endProcess kills p if it is still the one we started, and waits until it is gone. With grace it is first
// left to end by itself.
func endProcess(p process, grace bool) error {
	killAt := time.Now()
	if grace {
		killAt = killAt.Add(15 * time.Second)
	}
	deadline := killAt.Add(sweepTimeout)
	killed := false
	for p.alive() {
		now := time.Now()
		if !killed && !now.Before(killAt) {
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill %d: %w", p.PID, err)
			}
			killed = true
		}
		if now.After(deadline) {
			return fmt.Errorf("process %d is still there after SIGKILL", p.PID)
		}
		time.Sleep(pollEvery)
	}
	return nil
}
