// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/test/stage"
	"github.com/coldtrace/coldtrace/webhook/breaker"
)

// TestAWrapperThatDoesNotWorkIsLeftOutOfTheNextPods is the breaker on a real kubelet: within the three pods of a
// ReplicaSet it opens, and the next ones come up with their variables and without the wrapper.
func TestAWrapperThatDoesNotWorkIsLeftOutOfTheNextPods(t *testing.T) {
	t.Cleanup(func() {
		closeBreaker(t)
		reinstall(t)
	})
	for _, c := range []struct {
		name  string
		image func(t *testing.T) string
	}{
		{"an image that can't be pulled", func(*testing.T) string { return "registry.coldtrace.test/coldtrace-wrapper:missing" }},
		{"a binary of the wrong architecture", func(t *testing.T) string { return brokenImage(t, "foreign", foreignArch()) }},
		{"a binary that crashes at once", func(t *testing.T) string { return brokenImage(t, "crashing", runtime.GOARCH) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			closeBreaker(t)
			// New replicas have the new policy at once; a mounted one takes its time.
			err := on.InstallChart(t.Context(), "wrapper.image="+c.image(t), "podAnnotations.case="+strings.ReplaceAll(c.name, " ", "-"))
			if err != nil {
				t.Fatal(err)
			}
			reach(t)
			var sets []*appsv1.ReplicaSet
			for _, delivery := range []config.Delivery{config.DeliveryImageVolume, config.DeliveryInitContainer} {
				sets = append(sets, replicaSet(t, delivery))
			}
			for _, set := range sets {
				awaitOpen(t, set)
			}
			awaitMetric(t, fmt.Sprintf("coldtrace_breaker_open_owners %d", len(sets)))
			for _, set := range sets {
				deletePods(t, set)
				awaitPods(t, set, "run without the wrapper", func(pod *corev1.Pod) error {
					switch d := decisionOf(t, pod); {
					case slices.Contains(d.Features, inject.FeatureWrapper):
						return errors.New("it has the wrapper")
					case !slices.Contains(d.Features, inject.FeatureEnv):
						return errors.New("it has no variables either")
					case len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Running == nil:
						return errors.New("it does not run yet")
					}
					return nil
				})
			}
			// By hand.
			closeBreaker(t)
			awaitMetric(t, "coldtrace_breaker_open_owners 0")
			deletePods(t, sets[0])
			awaitPods(t, sets[0], "have the wrapper again", func(pod *corev1.Pod) error {
				if !slices.Contains(decisionOf(t, pod).Features, inject.FeatureWrapper) {
					return errors.New("it has none")
				}
				return nil
			})
		})
	}
}

// replicaSet has three pods whose command is no shell's: nothing in them could go on without the wrapper.
func replicaSet(t *testing.T, delivery config.Delivery) *appsv1.ReplicaSet {
	t.Helper()
	pod, err := endpoint("breaker-"+string(delivery), once, func(_ *corev1.Pod, main *corev1.Container) {
		main.Command = []string{"/bin/sleep", "3600"}
		main.Args, main.ReadinessProbe, main.StartupProbe, main.LivenessProbe, main.Lifecycle = nil, nil, nil, nil, nil
		main.Resources = corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": main.Resources.Limits["nvidia.com/gpu"]}}
	})
	if err != nil {
		t.Fatal(err)
	}
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations["coldtrace.io/delivery"] = string(delivery)
	// /bin/sleep is no engine: the entrypoint of a recognised one is what is wrapped.
	pod.Annotations["coldtrace.io/inject"], pod.Annotations["coldtrace.io/engine"] = "true", "vllm"
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32(3)),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"e2e": pod.Labels["e2e"]}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec},
		},
	}
	made, err := on.Kube.AppsV1().ReplicaSets(labelled).Create(t.Context(), set, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := on.Kubectl(context.Background(), "delete", "replicaset", made.Name, "--namespace", labelled, "--cascade=foreground", "--wait")
		if err != nil {
			t.Error(err)
		}
	})
	return made
}

func awaitOpen(t *testing.T, set *appsv1.ReplicaSet) {
	t.Helper()
	poll(t, set.Name+": the breaker's Event", func(ctx context.Context) error {
		list, err := on.Kube.CoreV1().Events(labelled).List(ctx, metav1.ListOptions{
			FieldSelector: "reason=ColdtraceBreakerOpen,involvedObject.uid=" + string(set.UID),
		})
		if err == nil && len(list.Items) != 1 {
			err = fmt.Errorf("%d Events\n%s", len(list.Items), describePods(set))
		}
		return err
	})
}

func awaitPods(t *testing.T, set *appsv1.ReplicaSet, what string, check func(*corev1.Pod) error) {
	t.Helper()
	poll(t, set.Name+": its pods "+what, func(ctx context.Context) error {
		list, err := podsOf(ctx, set)
		if err != nil {
			return err
		}
		n := 0
		for i := range list.Items {
			if list.Items[i].DeletionTimestamp != nil {
				continue
			}
			n++
			if err := check(&list.Items[i]); err != nil {
				return fmt.Errorf("%w\n%s", err, describePods(set))
			}
		}
		if n != 3 {
			return fmt.Errorf("%d pods", n)
		}
		return nil
	})
}

// awaitMetric waits until the line is among the metrics of every replica.
func awaitMetric(t *testing.T, line string) {
	t.Helper()
	poll(t, line, func(ctx context.Context) error {
		list, err := on.Kube.CoreV1().Pods(stage.SystemNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=webhook"})
		if err != nil {
			return err
		}
		for _, pod := range list.Items {
			if pod.DeletionTimestamp != nil {
				continue
			}
			text, err := on.Kube.CoreV1().Pods(pod.Namespace).ProxyGet("http", pod.Name, "8080", "/metrics", nil).DoRaw(ctx)
			if err != nil {
				return err
			}
			if !bytes.Contains(text, []byte("\n"+line+"\n")) {
				return fmt.Errorf("%s does not say so", pod.Name)
			}
		}
		return nil
	})
}

func podsOf(ctx context.Context, set *appsv1.ReplicaSet) (*corev1.PodList, error) {
	return on.Kube.CoreV1().Pods(labelled).List(ctx, metav1.ListOptions{LabelSelector: "e2e=" + set.Spec.Selector.MatchLabels["e2e"]})
}

func deletePods(t *testing.T, set *appsv1.ReplicaSet) {
	t.Helper()
	err := on.Kube.CoreV1().Pods(labelled).DeleteCollection(t.Context(), *metav1.NewDeleteOptions(0),
		metav1.ListOptions{LabelSelector: "e2e=" + set.Spec.Selector.MatchLabels["e2e"]})
	if err != nil {
		t.Fatal(err)
	}
}

func closeBreaker(t *testing.T) {
	t.Helper()
	err := on.Kube.CoreV1().ConfigMaps(stage.SystemNamespace).Delete(context.Background(), breaker.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

func decisionOf(t *testing.T, pod *corev1.Pod) inject.Decision {
	t.Helper()
	var d inject.Decision
	if err := json.Unmarshal([]byte(pod.Annotations[config.StatusAnnotation]), &d); err != nil {
		t.Fatalf("%s: %v: %v", pod.Name, err, pod.Annotations)
	}
	return d
}

func describePods(set *appsv1.ReplicaSet) string {
	list, err := podsOf(context.Background(), set)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, pod := range list.Items {
		fmt.Fprintf(&b, "%s: %s %s", pod.Name, pod.Status.Phase, pod.Annotations[config.StatusAnnotation])
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			state, _ := json.Marshal(c.State)
			last, _ := json.Marshal(c.LastTerminationState)
			fmt.Fprintf(&b, "\n  %s: restarts %d %s last %s", c.Name, c.RestartCount, state, last)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func poll(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, startTime, err)
		case <-tick.C:
		}
	}
}

func foreignArch() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

// brokenImage is a wrapper's image for this machine whose binary only fails.
func brokenImage(t *testing.T, tag, arch string) string {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "coldtrace-wrapper")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { panic(\"this wrapper does not work\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err = errors.Join(
		w.WriteHeader(&tar.Header{Name: "coldtrace-wrapper", Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}),
		func() error { _, err := w.Write(content); return err }(), w.Close())
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, Config: v1.Config{Entrypoint: []string{"/coldtrace-wrapper"}, User: "65532:65532"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, stream.NewLayer(io.NopCloser(&layer))); err != nil {
		t.Fatal(err)
	}
	registry, err := on.Shell(t.Context(), "echo -n $REGISTRY")
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(strings.TrimSpace(registry)+"/coldtrace-wrapper:"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return "registry.coldtrace.test/coldtrace-wrapper:" + tag
}
