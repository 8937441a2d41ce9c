// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/startup"
)

// pod is what a person would apply.
type pod struct {
	command, args []string
	env           map[string]string
	image         string
	probe         bool
	port          int
}

func (p pod) manifest() ([]byte, error) {
	c := corev1.Container{
		Name: "main", Image: p.image, Command: p.command, Args: p.args,
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
	}
	if p.probe {
		c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/health", Port: intstr.FromInt(p.port)},
		}}
	}
	for name, value := range p.env {
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
	}
	return yaml.Marshal(corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "server", Namespace: "models", Labels: map[string]string{"managed-by": "model-engine"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{c}},
	})
}

// bare is the command line and the environment of the pod as it stands.
func (b *bench) bare(p pod) (argv, env []string) {
	env = b.environment()
	for name, value := range p.env {
		env = append(env, name+"="+value)
	}
	return slices.Concat(p.command, p.args), env
}

// injected are those of the pod that `coldtrace inject` makes of it, with telemetry for an endpoint.
func (b *bench) injected(ctx context.Context, p pod, endpoint, protocol string) (argv, env []string, err error) {
	manifest, err := p.manifest()
	if err != nil {
		return nil, nil, err
	}
	policy := filepath.Join(b.scratch, "policy.yaml")
	text := fmt.Sprintf("otlp: {endpoint: %q, protocol: %q}\nwrapper: {image: \"example.com/wrapper:1\", unknownEngines: true}\n", endpoint, protocol)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "coldtrace"), "inject", "-f", "-", "--policy", policy)
	cmd.Stdin = bytes.NewReader(manifest)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("coldtrace inject: %w: %s", err, complaint.String())
	}
	var made corev1.Pod
	if err := yaml.Unmarshal(out, &made); err != nil {
		return nil, nil, err
	}
	c := made.Spec.Containers[0]
	env = b.environment()
	for _, v := range c.Env {
		switch v.Name {
		case startup.EnvPodUID:
			v.Value = string(uuid.NewUUID())
		case startup.EnvPodName, startup.EnvNodeName:
			v.Value = "server"
		}
		env = append(env, v.Name+"="+v.Value)
	}
	for _, word := range slices.Concat(c.Command, c.Args) {
		argv = append(argv, strings.ReplaceAll(word, startup.WrapperPath, filepath.Join(b.bin, "coldtrace-wrapper")))
	}
	return argv, env, nil
}

// environment is the image's.
func (b *bench) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.at("work"), "TMPDIR=" + b.at("work", "tmp"), "LANG=C.UTF-8",
		"HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1", "VLLM_CPU_KVCACHE_SPACE=1", "VLLM_CPU_OMP_THREADS_BIND=0-1",
	}
}

func programBeside(python, name string) string { return filepath.Join(filepath.Dir(python), name) }

func quoted(words []string) string {
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}
