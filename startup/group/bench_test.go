// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
)

// BenchmarkMember tells what a table of groups of 16 pods holds for each of them, and how long one is looked at.
func BenchmarkMember(b *testing.B) {
	const of = 16
	var table *group.Table
	var before, after runtime.MemStats
	for b.Loop() {
		table = &group.Table{}
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range group.MaxMembers {
			index := i % of
			table.Put(group.Of(startup.Subject{
				PodUID: fmt.Sprintf("%08x-0000-4000-8000-000000000001", i), PodName: fmt.Sprintf("llama-%d-%d", i/of, index),
				Endpoint: startup.Endpoint{Namespace: "models", EndpointName: "llama", ModelName: "llama-405b", GPUType: "h100", Group: startup.Group{
					Key: fmt.Sprintf("lws/llama/%d", i/of), Generation: fmt.Sprintf("%08x-0000-4000-8000-000000000002", i/of), Part: "worker",
					Size: of, Index: &index, Role: startup.GroupWorker,
				}},
			}, time.Unix(int64(i), 0)))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/group.MaxMembers, "B/member")
	began := time.Now()
	for i := range group.MaxMembers / of {
		table.Starts("models", fmt.Sprintf("lws/llama/%d", i), time.Unix(0, 0))
	}
	b.ReportMetric(float64(time.Since(began).Nanoseconds())/(group.MaxMembers/of), "ns/look")
}
