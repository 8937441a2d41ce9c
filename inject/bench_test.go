// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"encoding/json"
	"path/filepath"
	"syscall"
	"testing"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
)

// benchFixtures are one pod of each usual kind.
var benchFixtures = []string{"streaming-vllm", "lws-worker", "batch-job", "vllm-argv", "nim", "no-gpu"}

// cpu reports processor time, garbage collection included: what a busy machine's clock hides.
func cpu(b *testing.B) func() {
	now := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := now()
	return func() { b.ReportMetric(float64(now()-start)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkAdmission compares the whole of a pod's injection with decoding alone, and with what a defaulter does: decode
// a typed pod, change it (here for free), marshal it and compare.
func BenchmarkAdmission(b *testing.B) {
	for _, name := range benchFixtures {
		f := readFixture(b, filepath.Join("testdata", name+".yaml"))
		b.Run("decode-only/"+name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				pod := new(endpoint.Pod)
				if err := json.Unmarshal(f.raw, pod); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decide-only/"+name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				inject.Pod(f.request)
			}
		})
		b.Run("inject/"+name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			var patch []byte
			for b.Loop() {
				req := f.request
				req.Pod = new(endpoint.Pod)
				if err := json.Unmarshal(f.raw, req.Pod); err != nil {
					b.Fatal(err)
				}
				ops, _ := inject.Pod(req)
				patch, _ = json.Marshal(ops)
			}
			b.ReportMetric(float64(len(patch)), "patch-bytes")
		})
		b.Run("typed-marshal-diff/"+name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b)()
			ops, _ := inject.Pod(f.request)
			after, err := applyOps(f.raw, ops)
			if err != nil {
				b.Fatal(err)
			}
			var patch []byte
			var changed corev1.Pod
			if err := json.Unmarshal(after, &changed); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				var pod corev1.Pod
				if err := json.Unmarshal(f.raw, &pod); err != nil {
					b.Fatal(err)
				}
				marshalled, err := json.Marshal(&changed)
				if err != nil {
					b.Fatal(err)
				}
				diff, err := jsonpatch.CreatePatch(f.raw, marshalled)
				if err != nil {
					b.Fatal(err)
				}
				patch, _ = json.Marshal(diff)
			}
			b.ReportMetric(float64(len(patch)), "patch-bytes")
		})
	}
}
