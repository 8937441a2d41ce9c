// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	target    = "main"
	startTime = 3 * time.Minute // more than any start of these tests takes
)

// endpoint is the pod that the demo's Deployment makes, as a pod of its own: what a test changes of it stays in the test.
func endpoint(name string, change ...func(pod *corev1.Pod, main *corev1.Container)) (*corev1.Pod, error) {
	manifest, err := on.Manifest("endpoint.yaml")
	if err != nil {
		return nil, err
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(on.Expand(manifest))))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("endpoint.yaml has no Deployment")
		}
		if err != nil {
			return nil, fmt.Errorf("split endpoint.yaml: %w", err)
		}
		var deployment appsv1.Deployment
		if err := yaml.Unmarshal(document, &deployment); err != nil {
			return nil, fmt.Errorf("parse endpoint.yaml: %w", err)
		}
		if deployment.Kind != "Deployment" {
			continue
		}
		pod := &corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec,
		}
		pod.Name = name
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels["e2e"] = name
		// A test does not wait for connections to drain.
		pod.Spec.TerminationGracePeriodSeconds = new(int64(2))
		for _, c := range change {
			c(pod, container(pod, target))
		}
		return pod, nil
	}
}

func container(pod *corev1.Pod, name string) *corev1.Container {
	i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		return &corev1.Container{}
	}
	return &pod.Spec.Containers[i]
}

func withEnv(name, value string) func(*corev1.Pod, *corev1.Container) {
	return func(_ *corev1.Pod, main *corev1.Container) {
		main.Env = slices.DeleteFunc(main.Env, func(e corev1.EnvVar) bool { return e.Name == name })
		main.Env = append(main.Env, corev1.EnvVar{Name: name, Value: value})
	}
}

// once makes the pod end with its target container, so that its exit code stays readable: the forwarder goes on for ever.
func once(pod *corev1.Pod, main *corev1.Container) {
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.Containers = []corev1.Container{*main}
}

// begin creates the pod and deletes it when the test is over.
func begin(t *testing.T, namespace, name string, change ...func(*corev1.Pod, *corev1.Container)) *corev1.Pod {
	t.Helper()
	pod, err := endpoint(name, change...)
	if err != nil {
		t.Fatal(err)
	}
	made, err := on.Kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, made) })
	return made
}

// remove deletes the pod and waits until it is gone: its GPU and its port are the next test's.
func remove(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := on.DeletePod(ctx, pod.Namespace, pod.Name); err != nil {
		t.Error(err)
	}
}

func await(t *testing.T, pod *corev1.Pod, done func(*corev1.Pod) (bool, error)) *corev1.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	last, err := on.AwaitPod(ctx, pod.Namespace, "e2e="+pod.Name, done)
	if err != nil {
		t.Fatalf("%v\n%s", err, logs(t, pod))
	}
	return last
}

// logs are what the target container wrote.
func logs(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	raw, err := on.Kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: target}).DoRaw(context.Background())
	if err != nil {
		return "no log: " + err.Error()
	}
	return string(raw)
}

// interval is what was simulated, by the simulator's own clock.
type interval struct{ start, end time.Time }

// simulated asks the simulated server what it did, and how late the machine let it do that at most.
func simulated(t *testing.T, pod *corev1.Pod) (phases map[string]interval, late time.Duration) {
	t.Helper()
	raw, err := on.Kube.CoreV1().Pods(pod.Namespace).ProxyGet("http", pod.Name, "5005", "/sim/truth", nil).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		Phases map[string]struct{ Start, End int64 }
		Late   int64
	}
	if err := json.Unmarshal(bytes.TrimSpace(raw), &truth); err != nil {
		t.Fatal(err)
	}
	phases = map[string]interval{}
	for name, p := range truth.Phases {
		phases[name] = interval{time.Unix(0, p.Start), time.Unix(0, p.End)}
	}
	return phases, time.Duration(truth.Late)
}

// timedDownload makes the shell write down when it starts s5cmd and when that ends, to the microsecond.
func timedDownload(t *testing.T) func(*corev1.Pod, *corev1.Container) {
	return func(_ *corev1.Pod, main *corev1.Container) {
		script := &main.Command[len(main.Command)-1]
		before, after, ok := strings.Cut(*script, "./s5cmd")
		download, rest, ok2 := strings.Cut(after, ";")
		if !ok || !ok2 {
			t.Fatalf("the endpoint's command is not a download followed by a server: %q", *script)
		}
		*script = before + `echo "s5cmd-from $EPOCHREALTIME";./s5cmd` + download + `;echo "s5cmd-to $EPOCHREALTIME";` + rest
	}
}

// downloadTimes are what timedDownload wrote down.
func downloadTimes(t *testing.T, log string) interval {
	t.Helper()
	return interval{writtenDown(t, log, "s5cmd-from"), writtenDown(t, log, "s5cmd-to")}
}

// timedEngine makes the shell write down when it starts the engine: the simulator's own clock begins only once the machine
// has let it run.
func timedEngine(t *testing.T) func(*corev1.Pod, *corev1.Container) {
	return func(_ *corev1.Pod, main *corev1.Container) {
		script := &main.Command[len(main.Command)-1]
		before, after, ok := strings.Cut(*script, "python -m vllm_server")
		if !ok {
			t.Fatalf("the endpoint's command starts no server: %q", *script)
		}
		*script = before + `echo "engine-from $EPOCHREALTIME";python -m vllm_server` + after
	}
}

// writtenDown is the time that the shell wrote behind a mark.
func writtenDown(t *testing.T, log, mark string) time.Time {
	t.Helper()
	_, after, ok := strings.Cut(log, mark+" ")
	if !ok {
		t.Fatalf("the log lacks %q", mark)
	}
	digits, _, _ := strings.Cut(after, "\n")
	micros, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimSpace(digits), ".", ""), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMicro(micros)
}

// admit creates the plain pod in a dry run and returns it as the API server would store it, without what differs between
// any two pods.
func admit(ctx context.Context, namespace string) ([]byte, error) {
	pod, err := endpoint("untouched")
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode pod: %w", err)
	}
	raw, err := on.Kube.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").
		Param("dryRun", "All").SetHeader("Content-Type", "application/json").Body(body).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("create pod in a dry run: %w", err)
	}
	return withoutIdentity(raw)
}

// withoutIdentity replaces the pod's UID and times, and the random end of its token volume's name. Everything else stays as
// it came, byte for byte.
func withoutIdentity(raw []byte) ([]byte, error) {
	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil {
		return nil, fmt.Errorf("parse pod: %w", err)
	}
	raw = bytes.ReplaceAll(raw, []byte(pod.UID), []byte("UID"))
	raw = bytes.ReplaceAll(raw, []byte(pod.CreationTimestamp.UTC().Format(time.RFC3339)), []byte("TIME"))
	for _, m := range pod.ManagedFields {
		raw = bytes.ReplaceAll(raw, []byte(m.Time.UTC().Format(time.RFC3339)), []byte("TIME"))
	}
	for _, v := range pod.Spec.Volumes {
		if strings.HasPrefix(v.Name, "kube-api-access-") {
			raw = bytes.ReplaceAll(raw, []byte(v.Name), []byte("kube-api-access"))
		}
	}
	return raw, nil
}
