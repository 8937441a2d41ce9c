// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/webhook/certificate"
)

// drillScale is how often each thing happens, and for how long pods are created between two: small in `make test`, as
// the drill asks in `make drill`.
type drillScale struct {
	rate                                  int
	between                               int64 // pods created between two events
	caRotations, restarts, kills, apiAway int
}

func scale() drillScale {
	if os.Getenv("COLDTRACE_DRILL") != "" {
		return drillScale{rate: 20, between: 700, caRotations: 5, restarts: 5, kills: 5, apiAway: 2}
	}
	return drillScale{rate: 10, between: 20, caRotations: 1, restarts: 1, kills: 1, apiAway: 1}
}

// TestNoPodIsRefusedOrMissedWhileCertificatesAndReplicasComeAndGo is the availability drill, with failurePolicy Fail so
// that every miss is visible. A leaf lives for six seconds and so is renewed all the time.
func TestNoPodIsRefusedOrMissedWhileCertificatesAndReplicasComeAndGo(t *testing.T) {
	s := scale()
	in := install(t, 2, []string{"--ca-overlap=1s", "--leaf-lifetime=6s", "--ca-lifetime=24h"}, patient, "webhook.failurePolicy=Fail")
	ns := labelled(t)
	l := startLoad(t, ns, s.rate)
	l.settle(t, s.between)

	for range s.caRotations {
		before := in.bundle()
		in.rotateCA()
		eventually(t, 60*time.Second, "CA replaced", func(context.Context) error {
			now := in.bundle()
			if len(now) != 1 || now.Contains(before[0]) {
				return fmt.Errorf("%d trusted", len(now))
			}
			return nil
		})
		l.settle(t, s.between)
	}
	t.Logf("%d CA rotations: %s", s.caRotations, l)

	for range s.restarts {
		for _, old := range in.running() {
			in.start()
			in.stop(old)
		}
		l.settle(t, s.between)
	}
	t.Logf("%d rolling restarts: %s", s.restarts, l)
	if l.refused.Load() != 0 || l.bare.Load() != 0 {
		t.Errorf("planned events cost pods: %s", l)
	}

	for range s.apiAway {
		_ = suite.env.ControlPlane.GetAPIServer().Stop() // an error means that it was killed, which is a restart as well
		must(t, suite.env.ControlPlane.GetAPIServer().Start())
		l.settle(t, s.between)
	}
	t.Logf("%d restarts of the API server: %s", s.apiAway, l)
	if l.refused.Load() != 0 || l.bare.Load() != 0 {
		t.Errorf("restarts of the API server cost pods: %s", l)
	}

	for range s.kills {
		in.start()
		in.balancer.kill(in.leader())
		l.settle(t, s.between)
	}
	l.stop()
	t.Logf("%d leaders killed: %s; %d connections were broken by that", s.kills, l, in.balancer.brokenByKills())
	t.Logf("%d leaves were signed", in.signed())
	// A kill may cost what was on its way to that replica: on its connections, or to its endpoint before that was gone.
	if rest := l.unexplained(in.balancer); len(rest) > 0 || l.bare.Load() != 0 {
		t.Errorf("%d refusals were not on connections of killed replicas: %q", len(rest), rest)
	}
}

func TestWhatIsDamagedByHandHealsWithinTenSeconds(t *testing.T) {
	in := install(t, 1, []string{"--ca-overlap=1s"}, patient, "webhook.failurePolicy=Fail")
	ns := labelled(t)
	works := func(name string) {
		t.Helper()
		eventually(t, 10*time.Second, "pods are injected again", func(ctx context.Context) error {
			pod, err := create(ctx, ns, endpointPod(name), metav1.CreateOptions{})
			switch {
			case err != nil:
				return err
			case !injected(pod):
				return errors.New("not injected")
			}
			return nil
		})
	}
	works("before")
	configurations := suite.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	other, err := certificate.NewCA("someone else", time.Now(), time.Hour)
	must(t, err)
	for name, bundle := range map[string]string{
		"emptied":          "",
		"another's bundle": base64.StdEncoding.EncodeToString(certificate.Bundle{other.Cert}.PEM()),
	} {
		t.Run("the CA bundle: "+name, func(t *testing.T) {
			patch := fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`, bundle)
			_, err := configurations.Patch(t.Context(), in.name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
			must(t, err)
			works("bundle-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", ""))
		})
	}
	secrets := suite.client.CoreV1().Secrets(in.namespace)
	t.Run("the Secret: deleted", func(t *testing.T) {
		must(t, secrets.Delete(t.Context(), "coldtrace-ca", metav1.DeleteOptions{}))
		eventually(t, 10*time.Second, "Secret restored", func(ctx context.Context) error {
			_, err := secrets.Get(ctx, "coldtrace-ca", metav1.GetOptions{})
			return err
		})
		works("secret-deleted")
	})
	t.Run("the Secret: emptied", func(t *testing.T) {
		_, err := secrets.Patch(t.Context(), "coldtrace-ca", types.MergePatchType, []byte(`{"data":null}`), metav1.PatchOptions{})
		must(t, err)
		eventually(t, 10*time.Second, "Secret restored", func(ctx context.Context) error {
			s, err := secrets.Get(ctx, "coldtrace-ca", metav1.GetOptions{})
			if err == nil && len(s.Data["tls.key"]) == 0 {
				err = errors.New("still empty")
			}
			return err
		})
		works("secret-emptied")
	})
	t.Run("the policy: broken, then mended", func(t *testing.T) {
		good, err := os.ReadFile(in.policy)
		must(t, err)
		must(t, os.WriteFile(in.policy, []byte("nonsense: true\n"), 0o600))
		eventually(t, 10*time.Second, "reported", func(ctx context.Context) error { return in.metric(ctx, "coldtrace_policy_good 0") })
		works("policy-broken")
		must(t, os.WriteFile(in.policy, good, 0o600))
		eventually(t, 10*time.Second, "reported", func(ctx context.Context) error { return in.metric(ctx, "coldtrace_policy_good 1") })
	})
}

// TestAWebhookConfigurationThatIsPutBackWorksAgain: without one, a replica is not ready.
func TestAWebhookConfigurationThatIsPutBackWorksAgain(t *testing.T) {
	in := install(t, 1, nil, patient)
	in.leader()
	configurations := suite.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	asInstalled, err := configurations.Get(t.Context(), in.name, metav1.GetOptions{})
	must(t, err)
	must(t, configurations.Delete(t.Context(), in.name, metav1.DeleteOptions{}))
	eventually(t, 10*time.Second, "no longer ready", func(ctx context.Context) error {
		if get(ctx, "http://"+in.replicas[0].health+"/readyz") == nil {
			return errors.New("the replica is ready without a webhook configuration")
		}
		return nil
	})
	asInstalled.ResourceVersion, asInstalled.UID = "", ""
	asInstalled.Webhooks[0].ClientConfig.CABundle = nil // as the chart has it
	_, err = configurations.Create(t.Context(), asInstalled, metav1.CreateOptions{})
	must(t, err)
	eventually(t, 10*time.Second, "ready", func(ctx context.Context) error { return get(ctx, "http://"+in.replicas[0].health+"/readyz") })
	ns := labelled(t)
	pod, err := create(t.Context(), ns, endpointPod("after"), metav1.CreateOptions{})
	must(t, err)
	if !injected(pod) {
		t.Error("after all this pods are no longer injected")
	}
}

// TestWithAllReplicasGoneNothingElseWaits is failurePolicy Fail at its worst.
func TestWithAllReplicasGoneNothingElseWaits(t *testing.T) {
	in := install(t, 1, nil, "webhook.failurePolicy=Fail")
	ns := labelled(t)
	in.stop(in.replicas[0])
	if _, err := create(t.Context(), ns, endpointPod("a"), metav1.CreateOptions{}); err == nil {
		t.Fatal("the webhook is away and the policy is Fail: this drill would prove nothing")
	}
	other := "off-" + randomName()
	makeNamespace(t, other, nil)
	// Someone labels our own namespace: coldtrace must still be able to come up.
	_, err := suite.client.CoreV1().Namespaces().Patch(t.Context(), in.namespace, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"coldtrace.io/inject":"enabled"}}}`), metav1.PatchOptions{})
	must(t, err)
	cpu := endpointPod("cpu")
	delete(cpu.Spec.Containers[1].Resources.Limits, "nvidia.com/gpu")
	for name, c := range map[string]struct{ namespace string }{
		"another namespace":  {other},
		"coldtrace's own":    {in.namespace},
		"a pod without GPUs": {ns},
	} {
		t.Run(name, func(t *testing.T) {
			pod := endpointPod("b")
			if c.namespace == ns {
				pod = cpu
			}
			begun := time.Now()
			if _, err := create(t.Context(), c.namespace, pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func (in *installation) bundle() certificate.Bundle {
	in.t.Helper()
	w, err := suite.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(in.t.Context(), in.name, metav1.GetOptions{})
	must(in.t, err)
	return certificate.DecodeBundle(w.Webhooks[0].ClientConfig.CABundle)
}

func (in *installation) rotateCA() {
	in.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, certificate.RotateAnnotation, randomName())
	_, err := suite.client.CoreV1().Secrets(in.namespace).Patch(in.t.Context(), "coldtrace-ca", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(in.t, err)
}

// signed counts the serving certificates of all replicas.
func (in *installation) signed() int {
	in.t.Helper()
	n := 0
	for _, r := range in.replicas {
		log, err := os.ReadFile(r.log.Name())
		must(in.t, err)
		n += strings.Count(string(log), "Signed a serving certificate")
	}
	return n
}

// running are the replicas that have not ended.
func (in *installation) running() []*replica {
	in.mu.Lock()
	defer in.mu.Unlock()
	var out []*replica
	for _, r := range in.replicas {
		select {
		case <-r.exited:
		default:
			out = append(out, r)
		}
	}
	return out
}

// leader waits until one of the replicas leads.
func (in *installation) leader() *replica {
	in.t.Helper()
	var leader *replica
	eventually(in.t, 90*time.Second, "a leader", func(ctx context.Context) error {
		for _, r := range in.running() {
			text, err := r.scrape(ctx)
			if err != nil {
				return err
			}
			if strings.Contains(text, `leader_election_master_status{name="coldtrace-leader"} 1`) {
				leader = r
				return nil
			}
		}
		return errors.New("nobody leads")
	})
	return leader
}

// metric waits for nothing: it tells whether a line is in every replica's metrics.
func (in *installation) metric(ctx context.Context, line string) error {
	for _, r := range in.running() {
		text, err := r.scrape(ctx)
		if err != nil {
			return err
		}
		if !strings.Contains(text, line) {
			return fmt.Errorf("no %q", line)
		}
	}
	return nil
}

func (r *replica) scrape(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.metrics+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
