// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/test/stage"
)

const (
	chart = "charts/coldtrace"
	// formerChart is the version before, as it was packaged.
	formerChart   = "test/e2e/testdata/coldtrace-0.1.0.tgz"
	configuration = stage.SystemNamespace + "-" + stage.Release
	helmTime      = "--timeout=3m"
)

// TestTheLifeOfARelease goes from an empty cluster to an empty cluster: the version before, this one, back, and out, while
// pods are created all the time. Since it ends with the release that the other tests use, it runs before them.
func TestTheLifeOfARelease(t *testing.T) {
	ctx := t.Context()
	if err := on.UninstallChart(ctx); err != nil {
		t.Fatal(err)
	}
	before := awaitRemains(t, nil)
	helm(t, append([]string{"install", stage.Release, formerChart, "--wait", helmTime}, on.ValueArgs("region=eu-central-1")...)...)
	reach(t)
	ca, bundle := secretCA(t), caBundle(t)

	pods := fire(t)
	helm(t, "upgrade", stage.Release, chart, "--wait", helmTime, "--reset-then-reuse-values", "--set", "webhook.failurePolicy=Fail")
	pods.stop(t, "an upgrade from the version before")
	t.Run("an upgrade keeps certificates and policy", func(t *testing.T) {
		if !bytes.Equal(secretCA(t), ca) || !bytes.Equal(caBundle(t), bundle) {
			t.Error("the CA or the bundle changed")
		}
		if policy := kubectl(t, "get", "configmap", "coldtrace-policy", "-o", "jsonpath={.data}"); !strings.Contains(policy, "eu-central-1") {
			t.Errorf("the policy is %s", policy)
		}
	})
	t.Run("the notes' commands work as they are printed", followNotes)
	t.Run("helm test sends an admission and a span", helmTest)

	pods = fire(t)
	helm(t, "rollback", stage.Release, "1", "--wait", helmTime)
	helm(t, "rollback", stage.Release, "2", "--wait", helmTime)
	pods.stop(t, "a rollback and back")
	if !bytes.Equal(secretCA(t), ca) {
		t.Error("a rollback changed the CA")
	}

	// The watcher writes a checkpoint for it; else there would be less to leave behind.
	begin(t, labelled, "life-of-a-release", once)
	await := []string{"wait", "--for=jsonpath={.metadata.ownerReferences[0].kind}=ConfigMap", "--timeout=90s"}
	kubectl(t, append(await, "configmap/coldtrace-watcher", "lease/coldtrace-leader")...)
	pods = fire(t)
	helm(t, "uninstall", stage.Release, "--wait", helmTime)
	awaitRemains(t, before)
	pods.stopRemoved(t)
}

// followNotes types what `helm install` prints.
func followNotes(t *testing.T) {
	notes := helm(t, "get", "notes", stage.Release)
	commands := regexp.MustCompile(`(?m)^     (\S.*)$`).FindAllStringSubmatch(notes, -1)
	if len(commands) < 5 {
		t.Fatalf("%d commands in the notes:\n%s", len(commands), notes)
	}
	for _, c := range commands {
		if strings.HasPrefix(c[1], "helm test") {
			continue // has a test of its own
		}
		out, err := on.Shell(t.Context(), strings.ReplaceAll(c[1], "NAME", labelled))
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if strings.Contains(c[1], "--dry-run=server") && !strings.Contains(out, `"outcome":"injected"`) {
			t.Errorf("a dry run shows %q", out)
		}
	}
}

func helmTest(t *testing.T) {
	// Helm 4 writes what the check says to standard error.
	out, err := on.Shell(t.Context(), "helm test "+stage.Release+" --namespace "+stage.SystemNamespace+" 2>&1")
	if err != nil {
		t.Fatal(err, out)
	}
	for _, want := range []string{"certificate trusted", "one span accepted"} {
		if !strings.Contains(out, want) {
			t.Errorf("helm test does not say %q:\n%s", want, out)
		}
	}
	spans, err := on.Spans()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spans {
		if s.Name == "coldtrace_check" {
			return
		}
	}
	t.Error("the collector has no span of helm test")
}

// barrage creates a pod in a dry run, again and again.
type barrage struct {
	cancel          context.CancelFunc
	done            chan struct{}
	injected, plain int
	refused         []error
	seen            []bool // injected, in order
}

// pause is between two creates: some hundred in the time of an upgrade.
const pause = 50 * time.Millisecond

func fire(t *testing.T) *barrage {
	t.Helper()
	pod, err := endpoint("fired", once)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &barrage{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			b.create(ctx, pod)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return b
}

func (b *barrage) create(ctx context.Context, pod *corev1.Pod) {
	made, err := on.Kube.CoreV1().Pods(labelled).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		b.refused = append(b.refused, err)
	default:
		injected := isInjected(made)
		b.seen = append(b.seen, injected)
		if injected {
			b.injected++
		} else {
			b.plain++
		}
	}
}

func isInjected(pod *corev1.Pod) bool { return pod.Annotations["coldtrace.io/status"] != "" }

// stop holds that no pod was refused and each was injected.
func (b *barrage) stop(t *testing.T, during string) {
	t.Helper()
	b.cancel()
	<-b.done
	t.Logf("%s: %d pods injected, %d as they came, %d refused", during, b.injected, b.plain, len(b.refused))
	if len(b.refused) > 0 {
		t.Errorf("%s: %d pods were refused, the first with: %v", during, len(b.refused), b.refused[0])
	}
	if b.plain > 0 || b.injected == 0 {
		t.Errorf("%s: %d pods were injected, %d were not", during, b.injected, b.plain)
	}
}

// stopRemoved holds that no pod was refused though the failure policy was Fail, and none was injected in the end.
func (b *barrage) stopRemoved(t *testing.T) {
	t.Helper()
	b.cancel()
	<-b.done
	t.Logf("an uninstall with failurePolicy Fail: %d pods injected, %d as they came, %d refused", b.injected, b.plain, len(b.refused))
	if len(b.refused) > 0 {
		t.Errorf("%d pods were refused, the first with: %v", len(b.refused), b.refused[0])
	}
	if len(b.seen) == 0 || !b.seen[0] || b.seen[len(b.seen)-1] {
		t.Errorf("the first pod must be injected and the last not: %v", b.seen)
	}
}

func helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := on.Helm(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kubectl runs in the release's namespace.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := on.Kubectl(t.Context(), append([]string{"--namespace", stage.SystemNamespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func reach(t *testing.T) {
	t.Helper()
	if err := on.AwaitInjection(t.Context(), labelled); err != nil {
		t.Fatal(err)
	}
}

func secretCA(t *testing.T) []byte {
	t.Helper()
	s, err := on.Kube.CoreV1().Secrets(stage.SystemNamespace).Get(t.Context(), "coldtrace-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Data[corev1.TLSCertKey]) == 0 {
		t.Fatal("the CA's Secret is empty")
	}
	return s.Data[corev1.TLSCertKey]
}

func caBundle(t *testing.T) []byte {
	t.Helper()
	w, err := on.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), configuration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return w.Webhooks[0].ClientConfig.CABundle
}

// remains are the names of all objects in the release's namespace and of all others that carry its name, except Events,
// which the cluster forgets by itself.
func remains(t *testing.T) []string {
	t.Helper()
	kinds := func(scope string) string {
		names := strings.Fields(kubectl(t, "api-resources", "--verbs=list", "--output=name", "--namespaced="+scope))
		return strings.Join(slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "events") }), ",")
	}
	names := strings.Fields(kubectl(t, "get", kinds("true"), "--ignore-not-found", "--output=name"))
	for _, name := range strings.Fields(kubectl(t, "get", kinds("false"), "--ignore-not-found", "--output=name")) {
		if strings.Contains(name, stage.Release) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// awaitRemains waits until there is what was there before, and nothing else; nil: until nothing of a release is left.
func awaitRemains(t *testing.T, before []string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		now := remains(t)
		ours := slices.ContainsFunc(now, func(name string) bool {
			return strings.Contains(name, stage.Release) && !strings.HasSuffix(name, "/"+stage.SystemNamespace)
		})
		if before == nil && !ours || before != nil && slices.Equal(now, before) {
			return now
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after the uninstall there is %v, before the installation there was %v", now, before)
		case <-look.C:
		}
	}
}
