// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
)

// TestAnOpenRequestIsAnsweredByAPodThatIsDeleted has the shape that bash gives model-engine's endpoints: a shell waits for
// its server, and as PID 1 it lets SIGTERM go by.
func TestAnOpenRequestIsAnsweredByAPodThatIsDeleted(t *testing.T) {
	const takes = 20 * time.Second
	waiting := func(pod *corev1.Pod, main *corev1.Container) {
		pod.Spec.TerminationGracePeriodSeconds = new(int64(30)) // whose end the shell waits for, too
		main.Command[len(main.Command)-1] += "; exit $?"        // else bash becomes the server
	}
	for name, namespace := range map[string]string{"without coldtrace": unlabelled, "with coldtrace": labelled} {
		t.Run(name, func(t *testing.T) {
			pod := begin(t, namespace, "open-request", once, waiting, withEnv("SIM_ANSWER", takes.String()))
			pod = await(t, pod, stage.Ready)
			if wrapped := strings.Contains(strings.Join(container(pod, target).Command, " "), startup.WrapperPath); wrapped != (namespace == labelled) {
				t.Fatalf("wrapped is %v: %q", wrapped, container(pod, target).Command)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*takes)
			defer cancel()
			answer, err := on.Kube.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name("http:" + pod.Name + ":5005").
				SubResource("proxy").Suffix("v1/completions").Stream(ctx) // it has begun
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Close()
			if err := on.Kube.CoreV1().Pods(namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer)
			if err != nil || !strings.Contains(string(body), "simulated") {
				t.Errorf("the answer is cut: %q, %v", body, err)
			}
			last, err := on.Kube.CoreV1().Pods(namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatalf("the pod did not outlive SIGTERM: %v", err)
			}
			if last.DeletionTimestamp == nil || !slices.ContainsFunc(last.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
				return c.Name == target && c.State.Running != nil
			}) {
				t.Errorf("the server is not serving on: %+v", last.Status.ContainerStatuses)
			}
		})
	}
}
