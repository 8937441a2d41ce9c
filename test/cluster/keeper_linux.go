// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// launchFD is where the keeper reads from the `up` that started it: stayByte when the cluster may outlive
// it; end of file before that means that `up` was interrupted or killed.
const launchFD = 4

const stayByte = '+'

// runKeeper holds the cluster from outside: it makes the namespaces, and removes what the kernel doesn't
// remove with them (cgroups) when the node ends in whatever way. If the keeper itself is killed, the node
// notices and ends.
func runKeeper(l layout) error {
	signal.Ignore(syscall.SIGHUP)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	progressPipe := os.NewFile(progressFD, "progress")
	launchPipe := os.NewFile(launchFD, "launch")
	syscall.CloseOnExec(progressFD)
	syscall.CloseOnExec(launchFD)

	s := state{Mode: modeNode, Cgroup: cgroupName(l.dir), Started: time.Now()}
	var err error
	if s.Keeper, err = findProcess(os.Getpid()); err != nil {
		return err
	}
	// First the note, then what it speaks of.
	if err := s.write(l); err != nil {
		return err
	}
	if err := createCgroups(s.Cgroup); err != nil {
		return errors.Join(err, removeCgroups(s.Cgroup))
	}
	cmd, control, err := startNode(l, progressPipe)
	if err != nil {
		return errors.Join(err, removeCgroups(s.Cgroup))
	}
	defer control.Close()
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		ended <- errors.Join(err, removeCgroups(s.Cgroup))
	}()
	if err := introduce(l, &s, cmd.Process.Pid, control); err != nil {
		fmt.Fprintln(progressPipe, failedLine+err.Error())
		return errors.Join(err, cmd.Process.Kill(), <-ended)
	}
	// The node has its own copy; ours would keep `up` from seeing the end.
	progressPipe.Close()

	abandoned := make(chan struct{})
	go func() {
		b := make([]byte, 1)
		if n, _ := io.ReadFull(launchPipe, b); n == 0 || b[0] != stayByte {
			close(abandoned)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-abandoned:
	case <-stop:
	}
	return errors.Join(cmd.Process.Kill(), <-ended)
}

// startNode re-executes the driver as PID 1 of new namespaces.
func startNode(l layout, progressPipe *os.File) (*exec.Cmd, io.WriteCloser, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("create pipe: %w", err)
	}
	defer read.Close()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", "--dir", l.dir, "--bin", l.bin, "node")
	cmd.Dir = l.checkout
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{progressPipe, read} // progressFD, keeperFD
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := cmd.Start(); err != nil {
		write.Close()
		return nil, nil, fmt.Errorf("start node: %w", err)
	}
	return cmd, write, nil
}

// introduce connects the node's network to the host's, tells the node, and leaves a note for `down`.
func introduce(l layout, s *state, pid int, control io.Writer) error {
	var err error
	if s.Node, err = findProcess(pid); err != nil {
		return err
	}
	if s.Network, err = joinNode(pid); err != nil {
		return err
	}
	if err := s.write(l); err != nil {
		return err
	}
	if err := writeEnv(l, s.Network); err != nil {
		return err
	}
	if err := json.NewEncoder(control).Encode(s.Network); err != nil {
		return fmt.Errorf("send network: %w", err)
	}
	return nil
}
