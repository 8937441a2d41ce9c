// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// interruptGrace is how long an interrupted command has to clean up.
const interruptGrace = 30 * time.Second

// command runs in the checkout, with the cluster's environment once there is one. It leads a process group of its own:
// a Ctrl-C on the terminal reaches it through ctx alone, and then all of it, `go run` and its program alike.
func (s *Stage) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if built := filepath.Join(s.bin, name); !strings.Contains(name, "/") && isFile(built) {
		name = built
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.checkout
	cmd.Env = append(os.Environ(), s.environ()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = interruptGrace
	return cmd
}

// run shows the command's output only if it fails.
func (s *Stage) run(ctx context.Context, name string, args ...string) error {
	return quietly(s.command(ctx, name, args...))
}

// quietly runs a command. An error has the end of what it wrote.
func quietly(cmd *exec.Cmd) error {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String() + "\n" + stdout.String())
		const most = 4000
		if len(said) > most {
			said = "…" + said[len(said)-most:]
		}
		return fmt.Errorf("run %s %s: %w\n%s", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err, said)
	}
	return nil
}

// cluster runs a command of test/cluster, whose progress lines go to w.
func (s *Stage) cluster(ctx context.Context, w io.Writer, args ...string) error {
	if err := s.buildDriver(ctx); err != nil {
		return err
	}
	cmd := s.command(ctx, s.driver(), append([]string{"--dir", s.dir, "--bin", s.bin}, args...)...)
	cmd.Dir = filepath.Join(s.checkout, "test", "cluster")
	cmd.Stdout = w
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run cluster %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

func (s *Stage) driver() string { return filepath.Join(s.bin, "cluster") }

// buildDriver compiles the driver of test/cluster once: `go run` would not pass signals on to it.
func (s *Stage) buildDriver(ctx context.Context) error {
	if s.driverBuilt {
		return nil
	}
	cmd := s.command(ctx, "go", "build", "-buildvcs=false", "-o", s.driver(), ".")
	cmd.Dir = filepath.Join(s.checkout, "test", "cluster")
	if err := quietly(cmd); err != nil {
		return err
	}
	s.driverBuilt = true
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
