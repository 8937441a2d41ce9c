// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/coldtrace/coldtrace/webhook/certificate"
)

var certificates = schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificates"}

// TestCertManagerIssuesInjectsAndRenewsForUs runs cert-manager's own controllers and CA injector. Building them takes
// minutes, so only `make certmanager` does.
func TestCertManagerIssuesInjectsAndRenewsForUs(t *testing.T) {
	if os.Getenv("COLDTRACE_CERTMANAGER") == "" {
		t.Skip("COLDTRACE_CERTMANAGER is not set: run `make certmanager`")
	}
	needAPIServer(t)
	startCertManager(t)

	in := &installation{t: t, namespace: "ct-" + randomName(), balancer: newBalancer(t), certs: t.TempDir()}
	makeNamespace(t, in.namespace, nil)
	in.flags = []string{"--timeout=9500ms", "--cert-dir=" + in.certs}
	in.apply([]string{patient, "webhook.failurePolicy=Fail", "certManager.enabled=true"})
	in.mountCertificate()
	in.actAsServiceAccount()
	in.start()
	for _, verb := range []string{"get", "list", "watch", "patch", "update"} {
		if in.may(verb, "mutatingwebhookconfigurations") {
			t.Errorf("coldtrace may %s webhook configurations, which cert-manager cares for", verb)
		}
	}
	eventually(t, 60*time.Second, "CA injected", func(context.Context) error {
		if len(in.bundle()) == 0 {
			return errors.New("no bundle")
		}
		return nil
	})
	ns := labelled(t)
	l := startLoad(t, ns, 10)
	l.settle(t, 20)
	first := in.served()
	if _, err := first.Verify(x509.VerifyOptions{Roots: pool(in.bundle()), DNSName: "localhost"}); err != nil {
		t.Fatalf("what is served is not cert-manager's: %v", err)
	}

	in.renew()
	eventually(t, 60*time.Second, "renewed without a restart", func(context.Context) error {
		if in.served().Equal(first) {
			return errors.New("still the first certificate")
		}
		return nil
	})
	eventually(t, 60*time.Second, "the new certificate is trusted", func(context.Context) error {
		_, err := in.served().Verify(x509.VerifyOptions{Roots: pool(in.bundle()), DNSName: "localhost"})
		return err
	})
	l.settle(t, 20)
	l.stop()
	t.Logf("through a renewal: %s", l)
	if l.bare.Load() != 0 || l.refused.Load() != 0 {
		t.Errorf("a renewal cost pods: %s", l)
	}
}

// startCertManager installs its kinds and runs its controllers until the test ends.
func startCertManager(t *testing.T) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "certmanager")
	module := filepath.Join("..", "certmanager")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build cert-manager: %v\n%s", err, out)
	}
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager")
	list.Dir = module
	dir, err := list.Output()
	must(t, err)
	_, err = envtest.InstallCRDs(suite.config, envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds")},
	})
	must(t, err)
	log, err := os.Create(filepath.Join(suite.dir, "cert-manager.log"))
	must(t, err)
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+suite.kubeconfig)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()         // killed
		if t.Failed() {
			t.Logf("cert-manager:\n%s", tail(log.Name()))
		}
	})
}

// mountCertificate does the kubelet's work: the Secret's data lie in files, which follow it.
func (in *installation) mountCertificate() {
	in.t.Helper()
	secrets := suite.client.CoreV1().Secrets(in.namespace)
	write := func(s *corev1.Secret) error {
		if len(s.Data[corev1.TLSCertKey]) == 0 {
			return errors.New("the Secret is empty")
		}
		for name, content := range s.Data {
			path := filepath.Join(in.certs, name)
			if err := os.WriteFile(path+".new", content, 0o600); err != nil {
				return err
			}
			if err := os.Rename(path+".new", path); err != nil {
				return err
			}
		}
		return nil
	}
	eventually(in.t, 60*time.Second, "certificate issued", func(ctx context.Context) error {
		s, err := secrets.Get(ctx, "coldtrace-tls", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return write(s)
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w, err := secrets.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=coldtrace-tls"})
	must(in.t, err)
	go func() {
		defer close(done)
		for e := range w.ResultChan() {
			if s, ok := e.Object.(*corev1.Secret); ok {
				_ = write(s) // a test that misses it fails
			}
		}
	}()
	in.t.Cleanup(func() { cancel(); w.Stop(); <-done })
}

// renew asks for a new certificate as `cmctl renew` does.
func (in *installation) renew() {
	in.t.Helper()
	objects, err := dynamic.NewForConfig(suite.config)
	must(in.t, err)
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"by the test","lastTransitionTime":%q}]}}`,
		time.Now().UTC().Format(time.RFC3339))
	_, err = objects.Resource(certificates).Namespace(in.namespace).Patch(in.t.Context(), "coldtrace", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	must(in.t, err)
}

// served is the certificate that a client is shown.
func (in *installation) served() *x509.Certificate {
	in.t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(in.t.Context(), "tcp", in.running()[0].webhook) //nolint:gosec // looked at below
	must(in.t, err)
	defer conn.Close()
	secure, ok := conn.(*tls.Conn)
	if !ok {
		in.t.Fatal("no TLS")
	}
	return secure.ConnectionState().PeerCertificates[0]
}

func pool(b certificate.Bundle) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range b {
		p.AddCert(c)
	}
	return p
}

// actAsServiceAccount makes replicas do what the chart lets them do, and no more.
func (in *installation) actAsServiceAccount() {
	in.t.Helper()
	config, err := clientcmd.Load(suite.env.KubeConfig)
	must(in.t, err)
	for _, user := range config.AuthInfos {
		user.Impersonate = in.user()
		user.ImpersonateGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + in.namespace, "system:authenticated"}
	}
	in.account = filepath.Join(in.t.TempDir(), "kubeconfig")
	must(in.t, clientcmd.WriteToFile(*config, in.account))
}

func (in *installation) user() string { return "system:serviceaccount:" + in.namespace + ":coldtrace" }

// may asks the API server whether the chart's ServiceAccount is allowed something.
func (in *installation) may(verb, resource string) bool {
	in.t.Helper()
	review, err := suite.client.AuthorizationV1().SubjectAccessReviews().Create(in.t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: in.user(),
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: "admissionregistration.k8s.io", Resource: resource, Name: in.name,
			},
		},
	}, metav1.CreateOptions{})
	must(in.t, err)
	return review.Status.Allowed
}
