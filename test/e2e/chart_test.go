// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

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
	endpointName  = "launch-endpoint-id-end-c0ldtrace0demo000001" // of testdata/endpoint.yaml
)

// TestTheLifeOfARelease goes from an empty cluster to an empty cluster: the version before, this one, back, and out, while
// pods are created all the time.
func TestTheLifeOfARelease(t *testing.T) {
	if err := on.UninstallChart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reinstall(t) })
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
	t.Run("applying the manifests again, as from Git, would change nothing", func(t *testing.T) {
		// A dry run of a server-side apply; it fails where there is a difference to what is there.
		out, err := on.Shell(t.Context(), "helm get manifest "+stage.Release+" --namespace "+stage.SystemNamespace+
			" | kubectl diff --server-side --force-conflicts -f -")
		if err != nil {
			t.Errorf("%v\n%s", err, out)
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
	manifest, err := on.Manifest("endpoint.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := on.Apply(t.Context(), labelled, manifest); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := on.Delete(context.WithoutCancel(t.Context()), labelled, manifest); err != nil {
			t.Error(err)
		}
	})
	mine := strings.NewReplacer("NAME", labelled, "ENDPOINT", endpointName, "coldtrace trace", "go run ./cmd/coldtrace trace")
	for _, c := range commands {
		if strings.HasPrefix(c[1], "helm ") {
			continue // these have tests of their own
		}
		out, err := on.Shell(t.Context(), mine.Replace(c[1]))
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if strings.Contains(c[1], "--follow") && !strings.Contains(out, "server_ready") {
			t.Errorf("the endpoint's start, followed, is %q", out)
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

// reinstall leaves the release that the other tests use.
func reinstall(t *testing.T) {
	t.Helper()
	ctx := context.Background() // a cleanup's
	if err := errors.Join(on.InstallChart(ctx), on.AwaitInjection(ctx, labelled)); err != nil {
		t.Error(err)
	}
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
