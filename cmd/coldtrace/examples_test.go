// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/test/assets"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// examples are the command lines in a help, each as a shell takes it.
func examples(help string) (lines []string) {
	next := ""
	for line := range strings.Lines(help) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		next += line
		if strings.HasSuffix(line, "\\") || strings.HasSuffix(line, "|") {
			next += "\n"
			continue
		}
		lines, next = append(lines, next), ""
	}
	return lines
}

// desk is a folder with the files that examples name, in front of a cluster with the pods that they name.
type desk struct {
	*bare
	dir string
	env []string
}

func newDesk(t *testing.T) *desk {
	b := newBare(t)
	for _, name := range []string{"coldtrace-system", "models"} {
		b.namespace(name)
	}
	d := &desk{bare: b, dir: t.TempDir()}
	labels := map[string]string{"app": "llama"}
	must(t, ignore(b.client.AppsV1().Deployments("models").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "llama"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "vllm"}}}},
		},
	}, metav1.CreateOptions{})))
	for i, tag := range []string{"v0.11.2", "v0.12.0"} {
		p := b.begin("models", fmt.Sprintf("llama-%d", i), func(p *corev1.Pod) { p.Spec.Containers[0].Image = "vllm/vllm-openai:" + tag })
		b.ready(p, 28)
		b.log(p, false, said(p, len(vllm)))
	}
	starts := d.file("../../trace/report/testdata/before.jsonl") + d.file("../../trace/report/testdata/after.jsonl") + d.file("../../trace/testdata/several.jsonl")
	for name, text := range map[string]string{
		"endpoint.yaml":  "kind: Job\nmetadata: {name: j}\nspec:\n  template:" + podTemplateYAML,
		"traces.jsonl":   starts,
		"baseline.jsonl": d.file("../../trace/report/testdata/before.jsonl"),
		"now.jsonl":      d.file("../../trace/report/testdata/before.jsonl"),
		"engine.log":     d.file("../../engine/recipe/testdata/tgi-two-shards.log"),
		"policy.yaml":    "otlp: {endpoint: http://" + otlptest.New(t).GRPC + "}\n",
	} {
		b.write(filepath.Join(d.dir, name), text)
	}
	// What an example asks of Tempo goes to whom a person's proxy is.
	tempo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "tempo:3200" || !strings.HasPrefix(r.URL.Path, "/api/traces/") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(d.file("../../trace/testdata/ready.jsonl")))
	}))
	t.Cleanup(tempo.Close)
	self, err := os.Executable()
	must(t, err)
	bin := t.TempDir()
	must(t, os.Symlink(self, filepath.Join(bin, "coldtrace")))
	d.env = append(os.Environ(), envMain+"=1", "KUBECONFIG="+b.admin, "http_proxy="+tempo.URL, "COLUMNS=80",
		"PATH="+bin+":"+assets.Need(t)+":"+os.Getenv("PATH"))
	return d
}

func (d *desk) file(path string) string {
	d.t.Helper()
	text, err := os.ReadFile(path)
	must(d.t, err)
	return string(text)
}

// shell runs a command line as a person types it, until it ends, or was interrupted because it did what it is there for.
func (d *desk) shell(line string, done func() bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", line)
	if done != nil {
		cmd.Args[len(cmd.Args)-1] = "exec " + line // the signal is the command's
	}
	cmd.Dir, cmd.Env = d.dir, d.env
	var out syncBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(d.t, cmd.Start())
	if done != nil {
		await(d.t, line, func(context.Context) bool { return done() })
		must(d.t, cmd.Process.Signal(syscall.SIGINT))
	}
	if err := cmd.Wait(); err != nil || done == nil && out.String() == "" && !strings.ContainsAny(line, ">|") && !strings.Contains(line, " -o ") {
		d.t.Errorf("$ %s\n%s%v", line, out.String(), err)
	}
}

func TestTheExamplesOfEachHelpWork(t *testing.T) {
	d := newDesk(t)
	starts := filepath.Join(d.dir, "starts.yaml")
	untilDone := map[string]func() bool{
		"--for 10m": func() bool { return isFile(starts) }, // it is made before, and written after
		"coldtrace serve": func() bool {
			leases, err := d.client.CoordinationV1().Leases("coldtrace-system").List(t.Context(), metav1.ListOptions{})
			return err == nil && len(leases.Items) == 1
		},
	}
	ran := 0
	for _, c := range append([]*cobra.Command{newRootCommand()}, newRootCommand().Commands()...) {
		for _, line := range examples(c.Example) {
			var done func() bool
			for part, condition := range untilDone {
				if strings.Contains(line, part) {
					done = condition
				}
			}
			if strings.HasPrefix(line, "coldtrace serve") {
				line += " --metrics-address=127.0.0.1:0 --health-address=127.0.0.1:0" // the usual ones may be taken here
			}
			if done != nil {
				_ = os.Remove(starts) // of the example before
			}
			d.shell(line, done)
			ran++
		}
	}
	if ran < 25 {
		t.Errorf("only %d examples", ran)
	}
	if page := d.file(filepath.Join(d.dir, "s.html")); !strings.HasPrefix(page, "<!doctype html>") {
		t.Error("an example's page is none")
	}
	if !slices.ContainsFunc(examples(newTraceCommand().Example), func(line string) bool { return strings.HasPrefix(line, "curl") }) {
		t.Error("no example asks Tempo")
	}
}

func TestAnErrorOfAClusterNamesTheNextStep(t *testing.T) {
	b := newBare(t)
	b.namespace("models")
	nobody := b.person("nobody", "models")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a pod that is not there":        {[]string{"--kubeconfig", b.admin, "llama"}, "kubectl get pods,deployments -n models lists what is there"},
		"a workload that is not there":   {[]string{"--kubeconfig", b.admin, "deploy/llama"}, "-n names another namespace"},
		"somebody without rights":        {[]string{"--kubeconfig", nobody, "llama"}, "coldtrace rights -n models prints the Role"},
		"a cluster that does not answer": {[]string{"--kubeconfig", b.admin, "--server", "https://127.0.0.1:1", "llama"}, "kubectl get pods -n models tells whether the cluster can be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cmd := range []*cobra.Command{newTraceCommand(), newExplainCommand(), newInjectCommand()} {
				if _, _, err := output(t, cmd, "", append([]string{"-n", "models"}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v, want %q", cmd.Name(), err, c.want)
				}
			}
		})
	}
	for _, cmd := range []*cobra.Command{newExplainCommand(), newInjectCommand(), newTraceCommand()} {
		_, _, err := output(t, cmd, "", "-n", "models", "--kubeconfig", b.admin, "deploy/llama", "dep/qwen")
		if err == nil || !strings.Contains(err.Error(), `no kind "dep"; is deploy/qwen meant?`) {
			t.Errorf("%s of two, one with a slip: %v", cmd.Name(), err)
		}
	}
	if _, _, err := output(t, newTraceCommand(), "", "--kubeconfig", b.admin, "-n", "models"); err == nil || !strings.Contains(err.Error(), "-A looks in all") {
		t.Errorf("an empty namespace: %v", err)
	}
}
