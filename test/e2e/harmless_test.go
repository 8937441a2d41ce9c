// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
)

func TestAPodInAnUnlabelledNamespaceIsWhatItWouldBeWithoutUs(t *testing.T) {
	got, err := admit(t.Context(), unlabelled)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, plainBefore) {
		t.Errorf("with coldtrace the pod is\n%s\nwithout it was\n%s", got, plainBefore)
	}
	// The same pod where the label is: else this test could not fail.
	injected, err := admit(t.Context(), labelled)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(injected, []byte(startup.WrapperPath)) {
		t.Error("the pod is not injected in the labelled namespace either")
	}
}

func TestAFailedStartIsAnErrorWithItsReason(t *testing.T) {
	pod := begin(t, labelled, "out-of-memory", once, withEnv("SIM_FAIL", "cuda_oom"))
	pod = await(t, pod, stage.Finished(target))
	got := awaitTrace(t, string(pod.UID), startup.SpanStartup)
	reasons := map[string]string{}
	for _, root := range got.Roots {
		reasons[root.Name] = root.Reason()
		for _, n := range root.Children {
			reasons[n.Name] = n.Reason()
		}
	}
	if reasons[startup.SpanStartup] != "cuda_out_of_memory" {
		t.Errorf("startup's reason is %q, want cuda_out_of_memory (all: %v)", reasons[startup.SpanStartup], reasons)
	}
	got = awaitTrace(t, string(pod.UID), startup.SpanPodStartup)
	if outcome := got.Outcome(); !outcome.Failed() {
		t.Errorf("pod_startup is %v, want a failure", outcome)
	}
}

func TestACollectorThatIsNotThereChangesNeitherTimeNorExitCode(t *testing.T) {
	const starts = 3 // of each, in turns
	took := map[bool][]time.Duration{}
	for i := range starts {
		for _, there := range []bool{true, false} {
			setCollector(t, there)
			pod := begin(t, labelled, "collector-"+strconv.FormatBool(there)+"-"+strconv.Itoa(i))
			created := time.Now()
			await(t, pod, stage.Ready)
			took[there] = append(took[there], time.Since(created))
			remove(t, pod)
		}
	}
	with, without := median(took[true]), median(took[false])
	noise := max(slices.Max(took[true])-slices.Min(took[true]), time.Second)
	t.Logf("ready after %v with a collector, %v without; all: %v", with, without, took)
	if without > with+noise {
		t.Errorf("ready after %v without a collector, %v with one (noise %v)", without, with, noise)
	}

	codes := map[bool]int32{}
	for _, there := range []bool{true, false} {
		setCollector(t, there)
		pod := begin(t, labelled, "exit-"+strconv.FormatBool(there), once, withEnv("SIM_FAIL", "cuda_oom"))
		pod = await(t, pod, stage.Finished(target))
		codes[there] = exitCode(t, pod)
	}
	setCollector(t, true)
	plain := begin(t, unlabelled, "exit-plain", once, withEnv("SIM_FAIL", "cuda_oom"))
	want := exitCode(t, await(t, plain, stage.Finished(target)))
	if codes[true] != want || codes[false] != want || want == 0 {
		t.Errorf("exit codes %v with and without a collector, %d without coldtrace; want the same, not 0", codes, want)
	}
}

func TestAPodThatIsDeletedBeforeItIsReadyEndsItsTrace(t *testing.T) {
	pod := begin(t, labelled, "deleted", withEnv("SIM_FAIL", "hang"))
	await(t, pod, func(p *corev1.Pod) (bool, error) {
		return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.Name == target && c.State.Running != nil }), nil
	})
	if err := on.Kube.CoreV1().Pods(labelled).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := awaitTrace(t, string(pod.UID), startup.SpanPodStartup); !got.Outcome().Failed() {
		t.Errorf("the start is %v, want a failure", got.Outcome())
	}
}

func setCollector(t *testing.T, there bool) {
	t.Helper()
	change := on.StopAddon
	if there {
		change = on.StartAddon
	}
	if err := change(t.Context(), "collector"); err != nil {
		t.Fatal(err)
	}
	if !there {
		t.Cleanup(func() { // the test's context is over by then
			if err := on.StartAddon(context.Background(), "collector"); err != nil {
				t.Error(err)
			}
		})
	}
}

func exitCode(t *testing.T, pod *corev1.Pod) int32 {
	t.Helper()
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == target && c.State.Terminated != nil {
			return c.State.Terminated.ExitCode
		}
	}
	t.Fatalf("%s of %s has not ended", target, pod.Name)
	return 0
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}
