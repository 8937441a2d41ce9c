// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Names of what the stage installs.
const (
	SystemNamespace = "coldtrace-system"
	Release         = "coldtrace"
	InjectLabel     = "coldtrace.io/inject"
)

// StartAddon starts an extra process of the node: "collector", "receiver" or "s3".
func (s *Stage) StartAddon(ctx context.Context, name string) error {
	return s.cluster(ctx, s.w, "start", name)
}

// StopAddon stops it.
func (s *Stage) StopAddon(ctx context.Context, name string) error {
	return s.cluster(ctx, s.w, "stop", name)
}

// Around starts what receives telemetry and an S3 server, and pushes all images to the cluster's registry.
func (s *Stage) Around(ctx context.Context) error {
	if s.guest != nil {
		if err := s.PushImages(ctx); err != nil {
			return err
		}
		return s.startAround(ctx)
	}
	for _, addon := range []string{"receiver", "s3"} {
		if err := s.StartAddon(ctx, addon); err != nil {
			return fmt.Errorf("start %s: %w", addon, err)
		}
	}
	return s.PushImages(ctx)
}

// PushImages builds all images and pushes them to the cluster's registry.
func (s *Stage) PushImages(ctx context.Context) error {
	args := []string{"run", "./test/images", "--registry", s.env["REGISTRY"], "--tag", s.tag}
	if s.guest != nil {
		args = append(args, "coldtrace", "coldtrace-wrapper", "sim", "forwarder", "receiver", "s3")
	}
	return s.Step("images built and pushed", func() error { return s.run(ctx, "go", args...) })
}

// InstallChart installs the chart, or upgrades it, and waits until it is ready. More values come as "key=value".
func (s *Stage) InstallChart(ctx context.Context, values ...string) error {
	return s.Step("chart installed, webhook ready", func() error {
		if err := s.kubectl(ctx, strings.NewReader(strings.Replace(restricted, SystemNamespace, s.system, 1)), "apply", "-f", "-"); err != nil {
			return err
		}
		_, err := s.Helm(ctx, append([]string{"upgrade", "--install", Release, "charts/coldtrace", "--wait", "--timeout", "3m"},
			s.ValueArgs(values...)...)...)
		return err
	})
}

// UninstallChart removes what InstallChart has installed, if it has.
func (s *Stage) UninstallChart(ctx context.Context) error {
	return s.run(ctx, "helm", "uninstall", Release, "--namespace", s.system, "--ignore-not-found", "--wait")
}

// MakeNamespace creates a namespace, with coldtrace's label or without.
func (s *Stage) MakeNamespace(ctx context.Context, name string, labelled bool) error {
	label := ""
	if labelled {
		label = "\n  labels: {" + InjectLabel + ": enabled}"
	}
	manifest := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + name + label + "\n"
	return s.kubectl(ctx, strings.NewReader(manifest), "apply", "-f", "-")
}

// DeleteNamespace removes it and waits until it is gone.
func (s *Stage) DeleteNamespace(ctx context.Context, name string) error {
	return s.kubectl(ctx, nil, "delete", "namespace", name, "--ignore-not-found", "--wait")
}

// Apply applies a manifest. ${NAME} in it stands for a variable of the cluster's environment.
func (s *Stage) Apply(ctx context.Context, namespace, manifest string) error {
	return s.kubectl(ctx, strings.NewReader(s.Expand(manifest)), "apply", "--namespace", namespace, "-f", "-")
}

// Delete deletes what a manifest names and waits until it is gone, pods included.
func (s *Stage) Delete(ctx context.Context, namespace, manifest string) error {
	return s.kubectl(ctx, strings.NewReader(s.Expand(manifest)),
		"delete", "--namespace", namespace, "--ignore-not-found", "--cascade=foreground", "--wait", "-f", "-")
}

// DeletePod deletes a pod and waits until it is gone.
func (s *Stage) DeletePod(ctx context.Context, namespace, name string) error {
	return s.kubectl(ctx, nil, "delete", "pod", "--namespace", namespace, name, "--ignore-not-found", "--wait")
}

// Expand puts the cluster's variables and the images' tag in; any other dollar is the shell's in the pod.
func (s *Stage) Expand(manifest string) string {
	for name, value := range s.env {
		manifest = strings.ReplaceAll(manifest, "${"+name+"}", value)
	}
	if s.guest != nil {
		manifest = withoutGPU.Replace(manifest)
	}
	return imageTag.ReplaceAllString(manifest, s.pull+"/${1}:"+s.tag)
}

// ownRegistry is what manifests call the registry, and the cluster of the checkout, too.
const ownRegistry = "registry.coldtrace.test"

// imageTag finds the images that PushImages pushes.
var imageTag = regexp.MustCompile(`registry\.coldtrace\.test/([a-z0-9-]+):dev\b`)

// Manifest reads one of test/e2e/testdata.
func (s *Stage) Manifest(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(s.checkout, "test", "e2e", "testdata", name)) //nolint:gosec // of the checkout
	if err != nil {
		return "", fmt.Errorf("read manifest: %w", err)
	}
	return string(b), nil
}

func (s *Stage) kubectl(ctx context.Context, stdin io.Reader, args ...string) error {
	cmd := s.command(ctx, "kubectl", args...)
	cmd.Stdin = stdin
	return quietly(cmd)
}
