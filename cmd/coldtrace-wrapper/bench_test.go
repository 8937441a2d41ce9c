// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// control is something to compare with: what stands before the command.
type control struct {
	name   string
	prefix []string
	env    []string
}

// controls are what else may stand before a command. One that isn't installed is left out, and that is said.
func controls(b *testing.B) []control {
	b.Helper()
	all := []control{{name: "nothing"}}
	for _, c := range []control{
		{name: "tini", prefix: []string{"tini", "-s", "--"}}, {name: "dumb-init", prefix: []string{"dumb-init"}},
	} {
		path, err := exec.LookPath(c.prefix[0])
		if err != nil {
			b.Logf("%s is not installed: no comparison with it", c.name)
			continue
		}
		c.prefix[0] = path
		all = append(all, c)
	}
	for i := range all {
		all[i].env = quiet()
	}
	return all
}

// minimal builds the supervisor of testdata.
func minimal(b *testing.B) control {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "minimal")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "./testdata/minimal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return control{"minimal", []string{bin}, quiet()}
}

// BenchmarkExec is how long a command takes that does nothing, behind each of several things, one after the other in each
// turn, with so many environment variables. On a machine that does other work, p10 is what they take when it leaves them
// alone.
func BenchmarkExec(b *testing.B) {
	all := append(controls(b), minimal(b), control{"wrapper", wrapped(), quiet()},
		control{"no-destination", wrapped(), []string{"PATH=" + os.Getenv("PATH")}})
	for _, variables := range []int{10, 100, 1000} {
		b.Run("env="+strconv.Itoa(variables), func(b *testing.B) {
			took := make([][]time.Duration, len(all))
			for b.Loop() {
				for i, c := range all {
					env := slices.Clone(c.env)
					for len(env) < variables {
						env = append(env, "VARIABLE_"+strconv.Itoa(len(env))+"=a value as long as most of them are, or so")
					}
					took[i] = append(took[i], execTime(b, append(slices.Clone(c.prefix), "/usr/bin/true"), env))
				}
			}
			for i, c := range all {
				slices.Sort(took[i])
				b.ReportMetric(took[i][len(took[i])/10].Seconds()*1e3, "p10-ms/"+c.name)
				b.ReportMetric(took[i][len(took[i])/2].Seconds()*1e3, "p50-ms/"+c.name)
			}
		})
	}
}

// execTime is from fork to the end of a command whose output goes into pipes.
func execTime(b *testing.B, argv, env []string) time.Duration {
	b.Helper()
	var files []uintptr
	null, err := os.Open(os.DevNull)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	files = append(files, null.Fd())
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		files = append(files, w.Fd())
	}
	began := time.Now()
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: env, Files: files})
	if err != nil {
		b.Fatal(err)
	}
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err == nil {
			break
		} else if err != syscall.EINTR {
			b.Fatal(err)
		}
	}
	took := time.Since(began)
	if status != 0 {
		b.Fatalf("%q: status %v", argv, status)
	}
	return took
}

// BenchmarkOutput is the throughput of a command's output behind each of several things, one after the other in each
// turn. "observing" is the wrapper during a start; "told" after it; "untold" after one whose telemetry nobody took yet.
// "x" is the part of what nothing reaches: of the best turns, for a machine that does other work, and of the middle ones.
func BenchmarkOutput(b *testing.B) {
	for _, kind := range []string{"bytes", "lines"} {
		for _, mib := range []int{128, 512, 1024} {
			b.Run(kind+"/MiB="+strconv.Itoa(mib), func(b *testing.B) {
				throughput(b, kind, mib<<20)
			})
		}
	}
}

func throughput(b *testing.B, kind string, size int) {
	b.Helper()
	all := append(controls(b), control{"observing", wrapped(), starting()}, control{"told", wrapped(), started(b)},
		control{"untold", wrapped(), starting("COLDTRACE_TIMEOUT=50ms")})
	took := make([][]time.Duration, len(all))
	for b.Loop() {
		for i, c := range all {
			took[i] = append(took[i], outputTime(b, c, kind, size))
		}
	}
	for i := range all {
		slices.Sort(took[i])
	}
	for i, c := range all {
		best, half := took[i][0], took[i][len(took[i])/2]
		b.ReportMetric(half.Seconds()*1e3, "p50-ms/"+c.name)
		b.ReportMetric(took[0][0].Seconds()/best.Seconds(), "best-x/"+c.name)
		b.ReportMetric(took[0][len(took[0])/2].Seconds()/half.Seconds(), "p50-x/"+c.name)
	}
}

func outputTime(b *testing.B, c control, kind string, size int) time.Duration {
	b.Helper()
	s := hold(b, c.prefix, c.env, kind, strconv.Itoa(size))
	switch c.name {
	case "observing":
		s.observing()
	case "told", "untold":
		s.told(c.name == "untold")
	}
	// What was done to get here is this process's, which also reads the output.
	runtime.GC()
	<-time.After(100 * time.Millisecond)
	began := time.Now()
	s.begin()
	n := s.end()
	took := time.Since(began)
	if n != int64(size) {
		b.Fatalf("%s: %d bytes", c.name, n)
	}
	return took
}

// BenchmarkNoisyStart is what wrappers take while a command says so many lines a second: of a core, and of memory. A
// turn is some seconds of each. "told" is the wrapper after the start.
func BenchmarkNoisyStart(b *testing.B) {
	const watched = 5 * time.Second
	for _, rate := range []string{"0", "1000", "5000", "10000"} {
		b.Run("lines="+rate, func(b *testing.B) {
			all := append(controls(b), control{"observing", wrapped(), starting()}, control{"told", wrapped(), started(b)})
			for b.Loop() {
				for _, c := range all {
					noisy(b, c, rate, watched)
				}
			}
		})
	}
}

func noisy(b *testing.B, c control, rate string, watched time.Duration) {
	b.Helper()
	s := hold(b, c.prefix, c.env, "chatter", rate)
	pids := map[string]int{c.name: s.pid}
	switch c.name {
	case "nothing":
		pids = nil
	case "observing":
		pids = map[string]int{"supervisor": s.pid, "observer": s.observing()}
	case "told":
		s.told(false)
	}
	s.begin()
	<-time.After(time.Second) // what is done once is done
	before := map[string]footprint{}
	for name, pid := range pids {
		before[name] = footprintOf(pid)
	}
	<-time.After(watched)
	for name, pid := range pids {
		now := footprintOf(pid)
		b.ReportMetric((now.cpu-before[name].cpu).Seconds()/watched.Seconds()*100, "%core/"+name)
		b.ReportMetric(now.rss, "MB/"+name)
	}
	s.stop()
	s.end()
}

// BenchmarkAfterReady is the processor time that the wrapper takes while a server serves and says nothing.
func BenchmarkAfterReady(b *testing.B) {
	const watched = 30 * time.Second
	s := hold(b, wrapped(), started(b), "lines", "1")
	s.told(false)
	var cpu time.Duration
	for b.Loop() {
		before := footprintOf(s.pid)
		<-time.After(watched)
		cpu += footprintOf(s.pid).cpu - before.cpu
	}
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "µs/30s")
	b.ReportMetric(footprintOf(s.pid).rss, "MB")
	s.begin()
	s.end()
}
