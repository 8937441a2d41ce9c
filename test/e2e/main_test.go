// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e starts endpoints on a real Kubernetes with coldtrace installed and holds what the collector received
// against what happened. `make e2e` runs it; it needs root, and boots the cluster of test/cluster unless it is up.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/coldtrace/coldtrace/test/stage"
)

const (
	labelled   = "e2e-traced"
	unlabelled = "e2e-plain"
)

var (
	on *stage.Stage
	// plainBefore is the untouched pod as the API server makes it where coldtrace is not installed.
	plainBefore []byte
)

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M) (code int, err error) {
	if on, err = stage.Open(ctx, os.Stdout); err != nil {
		return 1, fmt.Errorf("boot the cluster: %w", err)
	}
	if os.Getenv("KEEP") == "1" {
		on.Keep()
	}
	defer func() { err = errors.Join(err, on.Close()) }()
	if err := prepare(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func prepare(ctx context.Context) error {
	for _, addon := range []string{"collector", "s3"} {
		if err := on.StartAddon(ctx, addon); err != nil {
			return fmt.Errorf("start %s: %w", addon, err)
		}
	}
	if err := on.PushImages(ctx); err != nil {
		return fmt.Errorf("push images: %w", err)
	}
	for name, label := range map[string]bool{labelled: true, unlabelled: false} {
		if err := on.DeleteNamespace(ctx, name); err != nil {
			return fmt.Errorf("remove namespace of an earlier run: %w", err)
		}
		if err := on.MakeNamespace(ctx, name, label); err != nil {
			return fmt.Errorf("create namespace: %w", err)
		}
	}
	if err := on.UninstallChart(ctx); err != nil {
		return fmt.Errorf("uninstall an earlier run's chart: %w", err)
	}
	var err error
	if plainBefore, err = admit(ctx, unlabelled); err != nil {
		return fmt.Errorf("create a pod without coldtrace: %w", err)
	}
	if err := on.InstallChart(ctx); err != nil {
		return fmt.Errorf("install the chart: %w", err)
	}
	return on.AwaitInjection(ctx, labelled)
}
