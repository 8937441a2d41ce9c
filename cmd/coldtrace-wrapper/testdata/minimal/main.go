// SPDX-License-Identifier: Apache-2.0

// Command minimal is the least that a supervisor written in Go can be: it starts a command, forwards signals and exits
// as the command did. The benchmarks compare with it.
package main

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		os.Exit(127)
	}
	go func() {
		for sig := range signals {
			if sig != syscall.SIGCHLD && sig != syscall.SIGURG {
				_ = cmd.Process.Signal(sig)
			}
		}
	}()
	_ = cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}
