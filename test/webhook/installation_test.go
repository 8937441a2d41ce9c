// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/test/freeport"
)

// installation is coldtrace, installed: the objects of the chart that the API server needs, replicas, and a balancer in
// place of the Service.
type installation struct {
	t         testing.TB
	namespace string
	name      string // of the webhook configuration
	balancer  *balancer
	policy    string
	flags     []string
	certs     string // folder with the certificate that cert-manager issued; empty: coldtrace's own CA
	account   string // kubeconfig of the chart's ServiceAccount; empty: the suite's

	mu       sync.Mutex
	replicas []*replica
}

// install applies what `helm template` prints and starts replicas. Values are helm's --set.
func install(t testing.TB, replicas int, flags []string, values ...string) *installation {
	t.Helper()
	needAPIServer(t)
	in := &installation{t: t, namespace: "ct-" + strings.ToLower(randomName()), flags: flags}
	if slices.Contains(values, patient) {
		in.flags = append(in.flags, "--timeout=9500ms") // as the chart derives it
	}
	makeNamespace(t, in.namespace, nil)
	in.balancer = newBalancer(t)
	in.apply(values)
	in.actAsServiceAccount()
	for range replicas {
		in.start()
	}
	return in
}

// apply takes the webhook configuration, the policy and the CA's Secret from the rendered chart.
func (in *installation) apply(values []string) {
	in.t.Helper()
	args := []string{"template", "coldtrace", "../../charts/coldtrace", "--namespace", in.namespace}
	for _, v := range append([]string{"otlp.endpoint=http://collector.test:4317", "wrapper.image=example.test/wrapper:1"}, values...) {
		args = append(args, "--set", v)
	}
	cmd := exec.Command(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "helm"), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		in.t.Fatalf("render chart: %v", err)
	}
	ctx := in.t.Context()
	docs := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(out)))
	for doc := range documents(in.t, docs) {
		var kind metav1.TypeMeta
		must(in.t, yaml.Unmarshal(doc, &kind))
		switch kind.Kind {
		case "MutatingWebhookConfiguration":
			var w admissionv1.MutatingWebhookConfiguration
			must(in.t, yaml.UnmarshalStrict(doc, &w))
			in.name = w.Name
			in.redirect(w.Webhooks)
			configurations := suite.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
			_, err := configurations.Create(ctx, &w, metav1.CreateOptions{})
			must(in.t, err)
			in.t.Cleanup(func() {
				_ = configurations.Delete(context.Background(), w.Name, metav1.DeleteOptions{})
			})
		case "Secret":
			var s corev1.Secret
			must(in.t, yaml.UnmarshalStrict(doc, &s))
			_, err := suite.client.CoreV1().Secrets(in.namespace).Create(ctx, &s, metav1.CreateOptions{})
			must(in.t, err)
		case "ConfigMap":
			var c corev1.ConfigMap
			must(in.t, yaml.UnmarshalStrict(doc, &c))
			if policy, ok := c.Data["policy.yaml"]; ok {
				in.policy = filepath.Join(in.t.TempDir(), "policy.yaml")
				must(in.t, os.WriteFile(in.policy, []byte(policy), 0o600))
			}
		case "Issuer", "Certificate", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			in.create(doc)
		}
	}
}

// create creates an object as it is, but that a certificate is also for the balancer's name.
func (in *installation) create(doc []byte) {
	in.t.Helper()
	o := &unstructured.Unstructured{}
	must(in.t, yaml.Unmarshal(doc, &o.Object))
	if names, ok, err := unstructured.NestedStringSlice(o.Object, "spec", "dnsNames"); err == nil && ok {
		must(in.t, unstructured.SetNestedStringSlice(o.Object, append(names, "localhost"), "spec", "dnsNames"))
	}
	c, err := client.New(suite.config, client.Options{})
	must(in.t, err)
	must(in.t, c.Create(in.t.Context(), o))
	in.t.Cleanup(func() { _ = c.Delete(context.Background(), o) }) // most go with their namespace
}

// redirect makes the API server call the balancer; nothing here has a Service.
func (in *installation) redirect(hooks []admissionv1.MutatingWebhook) {
	for i := range hooks {
		url := in.balancer.url + *hooks[i].ClientConfig.Service.Path
		hooks[i].ClientConfig = admissionv1.WebhookClientConfig{URL: &url}
	}
}

func documents(t testing.TB, d io.ReadCloser) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		buf := make([]byte, 1<<20)
		for {
			n, err := d.Read(buf)
			if errors.Is(err, io.EOF) {
				return
			}
			must(t, err)
			if !yield(buf[:n]) {
				return
			}
		}
	}
}

// replica is one process.
type replica struct {
	cmd     *exec.Cmd
	webhook string // address
	health  string
	metrics string
	log     *os.File
	exited  chan struct{}
	err     error
}

// start starts a replica and waits until it is ready.
func (in *installation) start() *replica {
	in.t.Helper()
	webhook, health, metrics := freeport.Of(in.t), freeport.Of(in.t), freeport.Of(in.t)
	log, err := os.CreateTemp(suite.dir, "replica-*.log")
	must(in.t, err)
	r := &replica{
		webhook: net.JoinHostPort("127.0.0.1", webhook), health: net.JoinHostPort("127.0.0.1", health),
		metrics: net.JoinHostPort("127.0.0.1", metrics), log: log, exited: make(chan struct{}),
	}
	r.cmd = exec.Command(suite.binary, append([]string{
		"serve", "--policy=" + in.policy, "--namespace=" + in.namespace, "--webhook-configuration=" + in.name,
		"--dns-names=localhost", "--webhook-port=" + webhook, "--health-address=" + r.health, "--metrics-address=" + r.metrics,
		"--drain-quiet=2s", "--drain-most=10s",
	}, in.flags...)...)
	kubeconfig := suite.kubeconfig
	if in.account != "" {
		kubeconfig = in.account
	}
	r.cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(in.t, r.cmd.Start())
	go func() {
		r.err = r.cmd.Wait()
		close(r.exited)
	}()
	in.t.Cleanup(func() {
		r.kill()
		if in.t.Failed() {
			in.t.Logf("replica %s:\n%s", r.webhook, tail(log.Name()))
		}
	})
	in.mu.Lock()
	in.replicas = append(in.replicas, r)
	in.mu.Unlock()
	eventually(in.t, 60*time.Second, "replica ready", func(ctx context.Context) error {
		select {
		case <-r.exited:
			in.t.Fatalf("replica ended: %v\n%s", r.err, tail(log.Name()))
		default:
		}
		return get(ctx, "http://"+r.health+"/readyz")
	})
	in.balancer.add(r)
	return r
}

// stop ends a replica as the kubelet does: SIGTERM, and some time later it is out of the Service.
func (in *installation) stop(r *replica) {
	in.t.Helper()
	in.balancer.removeLater(r)
	must(in.t, r.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-r.exited:
	case <-time.After(30 * time.Second):
		in.t.Fatalf("replica did not stop\n%s", tail(r.log.Name()))
	}
	if r.err != nil {
		in.t.Errorf("replica stopped with %v\n%s", r.err, tail(r.log.Name()))
	}
}

func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	<-r.exited
}

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}
