// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// What docs/report.md has CI do: starts of a real API server's pods are kept as a baseline, and newer ones are compared with it.
func TestReportAndCompareReadPodsOfACluster(t *testing.T) {
	b := newBare(t)
	b.namespace("models")
	begin := func(image string, i, seconds int) {
		p := b.ready(b.begin("models", fmt.Sprintf("%s-%d", image, i), func(p *corev1.Pod) {
			p.Spec.Containers[0].Image = "vllm/vllm-openai:" + image
			p.Labels = map[string]string{"image": image}
		}), seconds)
		b.log(p, false, said(p, len(vllm)))
	}
	for i := range 6 {
		begin("v1", i, 28)
		begin("v2", i, 58)
	}
	cluster := []string{"--kubeconfig", b.admin, "-n", "models", "--width", "100"}

	out, err := execute(t, newReportCommand(), append(cluster, "--by", "image_tag")...)
	if err != nil || !strings.Contains(out, "12 starts of 2 image_tags: 12 ready") || !strings.Contains(out, "model_load") {
		t.Errorf("error %v, reported\n%s", err, out)
	}
	compare := append([]string{"--by", "image_tag", "v1", "v2", "--fail-above", "10%"}, cluster...)
	if out, err := execute(t, newCompareCommand(), compare...); err == nil || !strings.Contains(err.Error(), "total got slower by +") {
		t.Errorf("error %v, compared\n%s", err, out)
	}

	keep := func(image string) string {
		spans, _, err := drawTrace(t, "", append(cluster, "-l", "image="+image, "-o", "otlp")...)
		must(t, err)
		file := filepath.Join(t.TempDir(), image+".jsonl")
		must(t, os.WriteFile(file, []byte(spans), 0o600))
		return file
	}
	baseline, now := keep("v1"), keep("v2")
	if out, err := execute(t, newCompareCommand(), baseline, now, "--fail-above", "10%"); err == nil || !strings.Contains(out, "readiness_wait") {
		t.Errorf("error %v, compared\n%s", err, out)
	}
	if out, err := execute(t, newCompareCommand(), baseline, baseline, "--fail-above", "10%"); err != nil {
		t.Errorf("error %v, compared\n%s", err, out)
	}
}
