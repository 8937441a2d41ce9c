// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// restricted is coldtrace's own namespace, which admits only what the Pod Security level restricted allows.
const restricted = `apiVersion: v1
kind: Namespace
metadata:
  name: ` + SystemNamespace + `
  labels: {pod-security.kubernetes.io/enforce: restricted}
`

// Helm runs Helm on the release's namespace and returns what it wrote to standard output.
func (s *Stage) Helm(ctx context.Context, args ...string) (string, error) {
	return s.output(ctx, "helm", append(args, "--namespace", s.system)...)
}

// Kubectl runs kubectl and returns what it wrote to standard output.
func (s *Stage) Kubectl(ctx context.Context, args ...string) (string, error) {
	return s.output(ctx, "kubectl", args...)
}

// Shell runs a command line as a person would type it, with the cluster's kubectl and helm, and returns what it wrote to
// standard output.
func (s *Stage) Shell(ctx context.Context, line string) (string, error) {
	return s.output(ctx, "/bin/bash", "-euo", "pipefail", "-c", "export PATH="+s.bin+":$PATH; "+line)
}

// ValueArgs are the --set arguments of the chart on this stage. More values come as "key=value".
func (s *Stage) ValueArgs(values ...string) []string {
	var args []string
	place := []string{"clusterName=coldtrace-test", "region=us-west-2"} // as the node's labels say
	if s.guest != nil {                                                 // whose place is its own, and whose nodes have no GPU, or better use for it
		place = []string{"policy.selection.gpuResources={cpu}"}
	}
	for _, value := range slices.Concat([]string{
		"image.repository=" + s.pull + "/coldtrace",
		"image.tag=" + s.tag,
		"wrapper.image=" + s.pull + "/coldtrace-wrapper:" + s.tag,
		"otlp.endpoint=http://" + s.NodeIP() + ":4317",
	}, place, values) {
		args = append(args, "--set", value)
	}
	return args
}

func (s *Stage) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := s.command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("run %s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
