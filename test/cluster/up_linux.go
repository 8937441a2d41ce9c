// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// up boots the cluster and returns when a pod with GPUs can be scheduled or, of a bare control plane,
// created.
func up(ctx context.Context, l layout, out *progress, m mode) error {
	if m.node && os.Geteuid() != 0 {
		return errors.New("up needs root: it makes namespaces, mounts and cgroups\n" +
			"Without root there is `up --control-plane-only`: an API server without a node.\n" + elsewhere)
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return fmt.Errorf("create cluster folder: %w", err)
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
	if found && s.alive() {
		fmt.Fprintf(out.w, "The cluster is already up: %s\n", l.kubeconfig())
		return nil
	}
	if found {
		if err := sweep(l, s); err != nil {
			return err
		}
	}
	if m.node {
		if err := ensureDebian(ctx, out); err != nil {
			return err
		}
	}
	if err := buildAll(ctx, l, out, m.bins...); err != nil {
		return err
	}
	if err := os.RemoveAll(l.run); err != nil {
		return fmt.Errorf("empty run folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(l.run, "log"), 0o755); err != nil {
		return fmt.Errorf("create run folder: %w", err)
	}
	if err := launch(ctx, l, out, m); err != nil {
		return err
	}
	fmt.Fprintf(out.w, "%s %s is up in %s.\n  source %s\n", m.what, kubernetesVersion, out.total(), l.envFile())
	return nil
}

// launch starts the keeper, shows the node's progress, and lets go of both once the node is ready.
func launch(ctx context.Context, l layout, out *progress, m mode) error {
	progressRead, progressWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("create pipe: %w", err)
	}
	defer progressRead.Close()
	launchRead, launchWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("create pipe: %w", err)
	}
	defer launchWrite.Close()
	log, err := os.Create(l.log("keeper"))
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	defer log.Close()

	// The keeper outlives us and ctx alike; that it ends with an interrupted boot is the launch pipe's job.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe", "--dir", l.dir, "--bin", l.bin, m.keeper)
	cmd.Dir = l.checkout
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{progressWrite, launchRead} // progressFD, launchFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start keeper: %w", err)
	}
	progressWrite.Close()
	launchRead.Close()

	outcome := make(chan error, 1)
	go func() { outcome <- follow(bufio.NewScanner(progressRead), l, out) }()
	select {
	case err = <-outcome:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		if _, err = launchWrite.Write([]byte{stayByte}); err == nil {
			return nil
		}
	}
	// The end of this pipe tells the keeper to end the node; wait until it has.
	launchWrite.Close()
	waitErr := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) {
		waitErr = nil // its reason is in the log, and err has it
	}
	s, found, stateErr := readState(l)
	if found {
		stateErr = sweep(l, s)
	}
	return errors.Join(err, waitErr, stateErr)
}

// follow copies the node's progress until it is ready or has failed.
func follow(lines *bufio.Scanner, l layout, out *progress) error {
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == readyLine {
			return nil
		}
		if reason, failed := strings.CutPrefix(line, failedLine); failed {
			log := []string{reason}
			for lines.Scan() {
				log = append(log, lines.Text())
			}
			return fmt.Errorf("boot: %s", strings.Join(log, "\n"))
		}
		fmt.Fprintln(out.w, line)
	}
	return fmt.Errorf("boot: the node ended without a word\n%s", tail(l.log("keeper")))
}
