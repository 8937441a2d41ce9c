// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
)

const (
	ownCode = 7
	// tells prints what the container's first process is, and the command's arguments.
	tells = `IFS= read -r -d '' first </proc/1/cmdline; echo "first=$first"; printf '<%s>' "$@"; exit 7`
	said  = "<a b><>"
)

// commanded makes the endpoint run one command of a shell's, and be selected whatever that is.
func commanded(delivery string) func(*corev1.Pod, *corev1.Container) {
	return func(pod *corev1.Pod, main *corev1.Container) {
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations["coldtrace.io/inject"] = "true"
		pod.Annotations["coldtrace.io/delivery"] = delivery
		main.Command = []string{"/bin/bash", "-c", tells, "bash", "a b", ""}
		main.ReadinessProbe = nil
	}
}

func TestEachDeliveryBringsTheWrapper(t *testing.T) {
	for _, delivery := range []string{"image-volume", "init-container"} {
		t.Run(delivery, func(t *testing.T) {
			// In the pod's order of events a container's own command comes last, so its words are the proof.
			pod := begin(t, labelled, "by-"+delivery, commanded(delivery), once)
			pod = await(t, pod, stage.Finished(target))
			if code := exitCode(t, pod); code != ownCode {
				t.Errorf("exit code %d, want the command's own", code)
			}
			if log := logs(t, pod); !strings.Contains(log, "first="+startup.WrapperPath+"\n") || !strings.Contains(log, said) {
				t.Errorf("the container says %q, want the wrapper first and the arguments %s", log, said)
			}
			byImage := false
			for _, v := range pod.Spec.Volumes {
				byImage = byImage || v.Name == "coldtrace" && v.Image != nil
			}
			if byImage != (delivery == "image-volume") || len(pod.Spec.InitContainers) > 0 != (delivery == "init-container") {
				t.Errorf("by image volume: %v, %d init containers", byImage, len(pod.Spec.InitContainers))
			}
		})
	}
}

// broken are ways in which the wrapper's file can be unusable, each as the shell commands that make it so.
var broken = map[string]string{
	"missing":              ``,
	"not-executable":       `echo '#!/bin/bash' > $W; chmod 644 $W`,
	"another-architecture": `printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0\1\0\0\0' > $W; chmod 755 $W`,
	"crashing-at-once":     `printf '#!/bin/bash\nkill -SEGV $$\n' > $W; chmod 755 $W`,
	"failing-at-once":      `printf '#!/bin/bash\nexit 2\n' > $W; chmod 755 $W`,
	"empty":                `: > $W; chmod 755 $W`,
}

func TestTheOwnCommandRunsWhereTheWrapperCannot(t *testing.T) {
	plain, err := endpoint("broken", commanded("init-container"), once)
	if err != nil {
		t.Fatal(err)
	}
	// As the webhook makes it. It is created where no webhook looks, with something else in the wrapper's place.
	injected, err := on.Kube.CoreV1().Pods(labelled).Create(t.Context(), plain, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(injected.Spec.InitContainers); n != 1 || container(injected, target).Command[0] != "/bin/bash" {
		t.Fatalf("%d init containers, command %q: not injected as expected", n, container(injected, target).Command)
	}
	pods := map[string]*corev1.Pod{}
	for name, script := range broken { // all at once: they wait for nothing but the kubelet
		pods[name] = sabotage(t, injected, name, script)
	}
	for name, pod := range pods {
		t.Run(name, func(t *testing.T) {
			pod := await(t, pod, stage.Finished(target))
			if code := exitCode(t, pod); code != ownCode {
				t.Errorf("exit code %d, want the command's own", code)
			}
			if log := logs(t, pod); log != "first=/bin/bash\n"+said {
				t.Errorf("the container says %q", log)
			}
		})
	}
}

// sabotage creates an injected pod whose init container leaves something else behind.
func sabotage(t *testing.T, injected *corev1.Pod, name, script string) *corev1.Pod {
	t.Helper()
	name = "broken-" + name
	spec := injected.Spec.DeepCopy()
	main, install := &spec.Containers[0], &spec.InitContainers[0]
	delete(main.Resources.Limits, "nvidia.com/gpu")
	delete(main.Resources.Requests, "nvidia.com/gpu")
	install.Image, install.ImagePullPolicy = main.Image, main.ImagePullPolicy
	install.Command = []string{"/bin/bash", "-c", "W=" + startup.WrapperPath + "; " + script}
	install.SecurityContext.RunAsUser = new(int64(65532)) // the image's own is root
	made, err := on.Kube.CoreV1().Pods(unlabelled).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"e2e": name}}, Spec: *spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := on.DeletePod(ctx, made.Namespace, made.Name); err != nil {
			t.Error(err)
		}
	})
	return made
}
