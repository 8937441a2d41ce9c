// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkWatching says what watching costs: each operation is one second of it, and "%core" the processor time in it.
// The bar is 2: it lasts as long as a start.
func BenchmarkWatching(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as the observer is started
	for name, script := range map[string]string{
		"processes=1":       "exec ./s5cmd serve",
		"processes=20":      "exec 3<&0; for i in $(seq 20); do ./s5cmd $i <&3 & done; wait",
		"processes=200":     "exec 3<&0; for i in $(seq 200); do sleep 1000 & done; ./s5cmd serve <&3; kill $(jobs -p)",
		"a birth each 50ms": "exec 3<&0; ./s5cmd serve <&3 & while kill -0 $!; do sleep 0.05; done",
	} {
		b.Run(name, func(b *testing.B) {
			cmd := exec.Command("sh", "-c", script)
			cmd.Dir, cmd.Env = bin, append(os.Environ(), roleEnv+"=hold")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			defer func() {
				_ = stdin.Close()
				_ = cmd.Wait()
			}()
			w := New(cmd.Process.Pid, -1)
			// A download's counters are read at each look; few of a container's processes are one.
			w.Became = func(p *Process) { p.Watched = len(p.Argv) > 1 && p.Argv[1] == "serve" }
			w.Ended = func(*Process) {}
			ctx, stop := context.WithCancel(context.Background())
			over := make(chan error)
			go func() { over <- w.Run(ctx) }()
			time.Sleep(4 * youngFor) //nolint:forbidigo // until all are born: what is young is looked at more often, but not for long
			seconds, before := 0.0, cpu(b)
			for b.Loop() {
				time.Sleep(time.Second) //nolint:forbidigo // time is what is measured
				seconds++
			}
			used := cpu(b) - before
			stop()
			if err := <-over; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(used.Seconds()/seconds*100, "%core")
		})
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
