// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// One pod against kubectl's get pod, get events and logs --timestamps, run side by side, in turn: coldtrace may take half as long
// again. Both know the API server from runs before, as a person's do.
func BenchmarkOnePod(b *testing.B) {
	const most = 1.5
	on := newBare(b)
	on.namespace("models")
	p := on.begin("models", "llama", nil)
	on.happened(p, "Started", "Container started", 1010*time.Millisecond)
	on.log(p, false, said(p, len(vllm), slices.Repeat([]string{"INFO: 10.0.0.1 GET /health 200"}, 10_000)...))
	on.ready(p, 28)

	binary := filepath.Join(b.TempDir(), "coldtrace")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-ldflags", "-s -w", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	home := b.TempDir() // of the caches of what the API server has
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(b.Context(), name, append(args, "-n", "models", "--kubeconfig", on.admin)...)
		cmd.Env = append(os.Environ(), "HOME="+home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Errorf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	took := func(f func()) float64 {
		began := time.Now()
		f()
		return time.Since(began).Seconds()
	}
	theirs := func() {
		var all sync.WaitGroup
		for _, args := range [][]string{{"get", "pod", "llama", "-o", "yaml"}, {"get", "events", "--field-selector", "involvedObject.name=llama", "-o", "yaml"}, {"logs", "llama", "--timestamps"}} {
			all.Go(func() { run(kubectl, args...) })
		}
		all.Wait()
	}
	ours := func() {
		if out := run(binary, "trace", "llama"); !strings.Contains(out, "torch_compile") {
			b.Errorf("it drew\n%s", out)
		}
	}
	theirs()
	ours()
	var kubectls, coldtraces []float64
	for b.Loop() {
		kubectls = append(kubectls, took(theirs))
		coldtraces = append(coldtraces, took(ours))
	}
	ratio := median(coldtraces) / median(kubectls)
	b.ReportMetric(median(kubectls)*1e3, "kubectl-ms")
	b.ReportMetric(median(coldtraces)*1e3, "coldtrace-ms")
	b.ReportMetric(ratio, "coldtrace/kubectl")
	if len(kubectls) >= 5 && ratio > most {
		b.Errorf("coldtrace takes %.2f times as long as kubectl, want at most %.1f", ratio, most)
	}
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}
