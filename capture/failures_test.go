// SPDX-License-Identifier: Apache-2.0

package capture_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// One file has what a person sees of each way in which an engine fails to start, with its pod around it: the list's row, the headline,
// the rows, and what is counted.
func TestWaysToFailAreDrawnAndCounted(t *testing.T) {
	logs, err := filepath.Glob("../engine/recipe/testdata/*-fails-*.log")
	if err != nil || len(logs) < 13 {
		t.Fatalf("%d logs: %v", len(logs), err)
	}
	var out bytes.Buffer
	for _, path := range logs {
		name := strings.TrimSuffix(filepath.Base(path), ".log")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		exit := recipe.Exit{Code: 1}
		if strings.Contains(name, "kill") {
			exit = recipe.Exit{Code: 137}
		}
		draw(&out, name, failed(name, text, exit))
	}
	compareSections(t, "testdata/failures.txt", out.Bytes())
}

// failed is the start of a pod whose only container wrote a log, a line every two seconds, and ended.
func failed(name string, log []byte, exit recipe.Exit) *capture.Start {
	created := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	s := &capture.Start{Subject: startup.Subject{PodUID: "7f0c5a52-5c6e-4a0e-9d0e-0b8f2f5f7c11", PodName: name, Endpoint: startup.Endpoint{Namespace: "models", Container: "main"}}}
	run := container.Run{Begin: container.Begin{At: created.Add(4 * time.Second), Role: startup.RoleServer, Attempt: 1}, Probed: true, Exit: exit}
	at := run.At
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	run.Ended = run.At.Add(time.Duration(len(lines)+2) * 2 * time.Second).Truncate(time.Second)
	story := container.NewLog(run)
	for _, line := range lines {
		at = at.Add(2 * time.Second)
		story.Line(at, line)
	}
	story.Finish(run.Ended)
	inside, _ := story.Spans(run.Ended)
	for _, sp := range inside {
		s.Inside = append(s.Inside, pod.Span{Span: sp})
	}
	facts := &pod.Facts{Target: "main"}
	facts.Pod(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "models", UID: "7f0c5a52-5c6e-4a0e-9d0e-0b8f2f5f7c11", CreationTimestamp: metav1.NewTime(created)},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", ReadinessProbe: &corev1.Probe{}}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodFailed,
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(created.Add(time.Second))},
				{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(created.Add(2 * time.Second))},
			},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: int32(exit.Code), Reason: "Error", StartedAt: metav1.NewTime(run.At), FinishedAt: metav1.NewTime(run.Ended),
			}}}},
		},
	}, run.Ended)
	s.Timeline = facts.Build(run.Ended.Add(time.Second), 0)
	return s
}
