// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"os/exec"
	"testing"
)

// BenchmarkExec is how long a command takes that does nothing, alone and behind wrappers.
func BenchmarkExec(b *testing.B) {
	for name, prefix := range map[string][]string{
		"bare": nil, "wrapper": {wrapper, "run", "--"}, "tini": {"tini", "-s", "--"}, "dumb-init": {"dumb-init"},
	} {
		b.Run(name, func(b *testing.B) {
			argv := append(append([]string{}, prefix...), "/usr/bin/true")
			if _, err := exec.LookPath(argv[0]); err != nil {
				b.Skip(err)
			}
			for b.Loop() {
				cmd := exec.Command(argv[0], argv[1:]...)
				cmd.Env = quiet()
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("no destination", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command(wrapper, "run", "--", "/usr/bin/true")
			cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOutput is the throughput of a command's output, alone, observed, and when nobody observes any more.
func BenchmarkOutput(b *testing.B) {
	const size = 256 << 20
	for name, argv := range map[string][]string{
		"bare":          {"head", "-c", "268435456", "/dev/zero"},
		"wrapper":       {wrapper, "run", "--", "head", "-c", "268435456", "/dev/zero"},
		"bare lines":    {"sh", "-c", "yes 'INFO 11-20 02:22:30 [file.py:123] a line of a log' | head -c 268435456"},
		"wrapper lines": {wrapper, "run", "--", "sh", "-c", "yes 'INFO 11-20 02:22:30 [file.py:123] a line of a log' | head -c 268435456"},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				cmd := exec.Command(argv[0], argv[1:]...)
				cmd.Env = quiet()
				out, err := cmd.StdoutPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, out); err != nil || n != size {
					b.Fatal(n, err)
				}
				if err := cmd.Wait(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
