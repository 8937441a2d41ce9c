// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
)

// changes are what differs between the demo's pod and a test's.
type changes []func(pod *corev1.Pod, main *corev1.Container)

// commands are a folder with coldtrace in it, where files can be left.
func commands(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "coldtrace"), "./cmd/coldtrace")
	build.Dir = on.Checkout()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build coldtrace: %v\n%s", err, out)
	}
	return dir
}

// in runs a command line in the folder, as a person would.
func in(t *testing.T, dir, line string) (string, error) {
	t.Helper()
	return on.Shell(t.Context(), fmt.Sprintf("cd %q; export PATH=%q:$PATH; %s", dir, dir, line))
}

// told is what `coldtrace report --json` says of one start.
type told struct {
	Total struct {
		P50 float64 `json:"p50"`
	} `json:"total_seconds"`
	Advice []struct {
		Rule     string
		Evidence string
		Saves    float64 `json:"saves_seconds"`
	}
}

// reported starts a pod, and returns what the report says of its start, from what the collector received.
func reported(t *testing.T, dir, name string, change ...func(*corev1.Pod, *corev1.Container)) told {
	t.Helper()
	pod := await(t, begin(t, labelled, name, append(changes{once}, change...)...), stage.Ready)
	awaitTrace(t, string(pod.UID), startup.SpanPodStartup, startup.SpanStartup, startup.SpanServerReady, startup.SpanPodReady)
	remove(t, pod)
	files, err := on.TelemetryFiles()
	if err != nil {
		t.Fatal(err)
	}
	out, err := in(t, dir, "coldtrace trace --pod-uid "+string(pod.UID)+" -o otlp "+strings.Join(files, " ")+" >one.jsonl; coldtrace report --json one.jsonl")
	var read struct{ Groups []told }
	if err != nil || json.Unmarshal([]byte(out), &read) != nil || len(read.Groups) != 1 {
		t.Fatalf("%v, wrote\n%s", err, out)
	}
	return read.Groups[0]
}

// TestAdviceThatIsFollowedSavesWhatItSays starts an endpoint that has a flaw, reads what the report says that its cure would save
// at most, and holds that against what it does save.
func TestAdviceThatIsFollowedSavesWhatItSays(t *testing.T) {
	dir := commands(t)
	probe := func(delay int32) func(*corev1.Pod, *corev1.Container) {
		return func(_ *corev1.Pod, main *corev1.Container) {
			main.ReadinessProbe.InitialDelaySeconds, main.ReadinessProbe.PeriodSeconds = delay, 1
		}
	}
	tag := fmt.Sprintf("large-%d", os.Getpid())
	large := func(_ *corev1.Pod, main *corev1.Container) { main.Image = "registry.coldtrace.test/sim:" + tag }
	if _, err := in(t, dir, `head -c 400000000 /dev/urandom >blob; tar cf layer.tar blob; rm blob
crane append --base "$REGISTRY/sim:`+on.Tag()+`" --new_layer layer.tar --new_tag "$REGISTRY/sim:`+tag+`"; rm layer.tar`); err != nil {
		t.Fatal(err)
	}
	// noise is by how many seconds two starts that are the same differ: edges of a pod's status are known to the second, and the
	// machine has other work.
	const noise = 2.5
	for _, c := range []struct {
		rule        string
		flawed, not changes
		remains     float64 // seconds of what is shortened that the cure itself takes: hence "up to"
	}{
		{"image-pull", changes{large, withEnv("SIM_SPEED", "4"), probe(0)}, changes{large, withEnv("SIM_SPEED", "4"), probe(0)}, 0},
		{"readiness-probe", changes{withEnv("SIM_SPEED", "4"), probe(30)}, changes{withEnv("SIM_SPEED", "4"), probe(0)}, 1},
		{"compile-cache", changes{probe(0)}, changes{withEnv("SIM_COMPILE_CACHE", "warm"), probe(0)}, 2.1}, // to load it
	} {
		t.Run(c.rule, func(t *testing.T) {
			before := reported(t, dir, c.rule+"-before", c.flawed...)
			predicted := 0.0
			for _, a := range before.Advice {
				if a.Rule == c.rule {
					predicted = a.Saves
				}
			}
			if predicted == 0 {
				t.Fatalf("there is no advice %s among %+v", c.rule, before.Advice)
			}
			after := reported(t, dir, c.rule+"-after", c.not...)
			saved := before.Total.P50 - after.Total.P50
			t.Logf("%s: %.1f s before, %.1f s after: up to %.1f s predicted, %.1f s measured", c.rule, before.Total.P50, after.Total.P50, predicted, saved)
			if saved > predicted+noise || saved < predicted-c.remains-noise {
				t.Errorf("saved %.1f s, want from %.1f to %.1f s", saved, predicted-c.remains-noise, predicted+noise)
			}
			for _, a := range after.Advice {
				if a.Rule == c.rule {
					t.Errorf("it was followed and is given again: %+v", a)
				}
			}
		})
	}
}

// TestTheDocsCIExampleFindsAStartThatGotSlower runs docs/report.md's two examples as they stand there, but for the Deployment's
// name and the number of rounds, which are as few as it takes to be sure.
func TestTheDocsCIExampleFindsAStartThatGotSlower(t *testing.T) {
	dir := commands(t)
	pod, err := endpoint("in-ci", once, withEnv("SIM_SPEED", "12"))
	if err != nil {
		t.Fatal(err)
	}
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "in-ci"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"e2e": "in-ci"}},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec},
		},
	}
	deployment.Spec.Template.Name = ""
	if _, err := on.Kube.AppsV1().Deployments(labelled).Create(t.Context(), deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := on.Kubectl(context.Background(), "delete", "deployment", "in-ci", "--namespace", labelled, "--cascade=foreground", "--wait"); err != nil {
			t.Error(err)
		}
	})
	page, err := os.ReadFile(filepath.Join(on.Checkout(), "docs", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	example := func(name string) string {
		m := regexp.MustCompile("(?s)<!-- run: " + name + " -->\n```sh\n(.*?)```").FindSubmatch(page)
		if m == nil {
			t.Fatalf("docs/report.md has no example %q", name)
		}
		return strings.NewReplacer("deploy/llama", "deploy/in-ci", "-n models", "-n "+labelled, "1 2 3 4 5 6", "1 2 3 4").Replace(string(m[1]))
	}
	run := func(line string) string {
		t.Helper()
		out, err := in(t, dir, line)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	run(example("measure") + "mv now.jsonl baseline.jsonl")
	run("cp baseline.jsonl now.jsonl; " + example("compare") + "rm now.jsonl")
	run("kubectl set env deploy/in-ci SIM_SPEED=2 -n " + labelled)
	run(example("measure"))
	out, err := in(t, dir, example("compare"))
	t.Log("\n" + out)
	if err == nil || !strings.Contains(err.Error(), "total got slower by +") {
		t.Errorf("starts that take several times as long pass the check: %v", err)
	}
}
