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

// layout is where everything is. Nothing is written outside dir and bin.
type layout struct {
	checkout string // the repository
	dir      string // the cluster's folder, <checkout>/.cluster unless --dir
	bin      string // built binaries
	run      string // state, certificates, logs, data: emptied by up and, but for the logs, by down
}

func newLayout(dir, bin string) (layout, error) {
	checkout, err := findCheckout()
	if err != nil {
		return layout{}, err
	}
	if dir == "" {
		dir = filepath.Join(checkout, ".cluster")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return layout{}, fmt.Errorf("resolve cluster folder: %w", err)
	}
	if bin == "" {
		bin = filepath.Join(checkout, ".cluster", "bin") // the same for every cluster of the checkout
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return layout{}, fmt.Errorf("resolve bin folder: %w", err)
	}
	return layout{checkout: checkout, dir: dir, bin: bin, run: filepath.Join(dir, "run")}, nil
}

// findCheckout walks up to the folder that has both our go.mod and test/cluster.
func findCheckout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("get working folder: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "test", "cluster", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find checkout: run this inside the coldtrace repository")
		}
		dir = parent
	}
}

func (l layout) kubeconfig() string      { return filepath.Join(l.dir, "kubeconfig") }
func (l layout) envFile() string         { return filepath.Join(l.dir, "env") }
func (l layout) state() string           { return filepath.Join(l.run, "state.json") }
func (l layout) pki(name string) string  { return filepath.Join(l.run, "pki", name) }
func (l layout) auditLog() string        { return filepath.Join(l.run, "audit.log") }
func (l layout) socket() string          { return filepath.Join(l.run, "node.sock") }
func (l layout) conf(name string) string { return filepath.Join(l.run, "conf", name) }
func (l layout) log(name string) string  { return filepath.Join(l.run, "log", name+".log") }
func (l layout) data(name string) string { return filepath.Join(l.run, "data", name) }
func (l layout) exe(name string) string  { return filepath.Join(l.bin, name) }

// lockFile takes an exclusive lock, waiting for another driver of the same folder to finish.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
