// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestANodeIsReadyWhenAGPUPodCanBePlaced(t *testing.T) {
	for name, c := range map[string]struct {
		node string
		want string // part of the error; empty for none
	}{
		"just registered": {`{}`, "no conditions"},
		"network not ready": {
			`{"status":{"conditions":[{"type":"Ready","status":"False","message":"no CNI"}]}}`, "no CNI",
		},
		"still tainted": {
			`{"spec":{"taints":[{"key":"node.kubernetes.io/not-ready"}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`,
			"not-ready",
		},
		"GPUs not yet offered": {`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`, "no GPUs"},
		"all there": {
			`{"status":{"allocatable":{"nvidia.com/gpu":"8"},"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True"}]}}`,
			"",
		},
		"not a node": {`<html>`, "parse node"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkNode(strings.NewReader(c.node))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
