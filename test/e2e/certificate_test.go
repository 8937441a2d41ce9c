// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/test/stage"
)

// TestARunningReleaseTakesToCertManagerAndBack switches the certificates of the release that the other tests use. The test
// is the certificate's issuer and fills the bundle in, as cert-manager and its CA injector do; test/certmanager runs the real ones.
func TestARunningReleaseTakesToCertManagerAndBack(t *testing.T) {
	on.Heading("cert-manager's kinds, with a certificate made by hand")
	kubectl(t, "apply", "-f", filepath.Join(on.Checkout(), "test/e2e/testdata/cert-manager.yaml"))
	kubectl(t, "wait", "--for=condition=Established", "crd/certificates.cert-manager.io", "crd/issuers.cert-manager.io")
	certificate := issue(t)
	_, err := on.Kube.CoreV1().Secrets(stage.SystemNamespace).Create(t.Context(), certificate, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		reinstall(t)
		for _, args := range [][]string{
			{"delete", "secret", certificate.Name, "--namespace", stage.SystemNamespace},
			{"delete", "crd", "certificates.cert-manager.io", "issuers.cert-manager.io"},
		} {
			if _, err := on.Kubectl(context.Background(), args...); err != nil {
				t.Error(err)
			}
		}
	})

	pods := fire(t)
	helm(t, "upgrade", stage.Release, chart, "--wait", helmTime, "--reset-then-reuse-values", "--set", "certManager.enabled=true")
	setBundle(t, certificate.Data[corev1.ServiceAccountRootCAKey])
	reach(t)
	pods.stopSwitched(t, "to cert-manager")
	if left := kubectl(t, "get", "issuer,certificate,secret", "--output=name"); !strings.Contains(left, "certificate.cert-manager.io/coldtrace") ||
		!strings.Contains(left, "issuer.cert-manager.io/coldtrace") || strings.Contains(left, "secret/coldtrace-ca") {
		t.Errorf("there is %s", left)
	}
	t.Run("helm test trusts cert-manager's CA", helmTest)

	pods = fire(t)
	reinstall(t)
	pods.stopSwitched(t, "back to the own CA")
	// The other CA stays trusted for the overlap of a rotation, so that the replicas before could serve to their end.
	if !bytes.Contains(caBundle(t), secretCA(t)) {
		t.Error("the API server does not trust the own CA")
	}
}

// stopSwitched holds that no pod was refused. Some may come as they are: for as long as there are replicas of both kinds,
// the API server trusts one.
func (b *barrage) stopSwitched(t *testing.T, what string) {
	t.Helper()
	b.cancel()
	<-b.done
	t.Logf("%s: %d pods injected, %d as they came, %d refused", what, b.injected, b.plain, len(b.refused))
	if len(b.refused) > 0 || b.injected == 0 {
		t.Errorf("%s: %d pods were injected and %d refused: %v", what, b.injected, len(b.refused), b.refused)
	}
}

// setBundle writes the bundle as cert-manager's CA injector would.
func setBundle(t *testing.T, bundle []byte) {
	t.Helper()
	patch, err := json.Marshal([]map[string]any{{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = on.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().
		Patch(t.Context(), configuration, types.JSONPatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// issue makes the Secret that the chart's Certificate names.
func issue(t *testing.T) *corev1.Secret {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey, leafKey := key(), key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, DNSNames: []string{stage.Release + "." + stage.SystemNamespace + ".svc"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	sign := func(c *x509.Certificate, public any) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, public, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: stage.Release + "-tls"},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:              sign(leaf, &leafKey.PublicKey),
			corev1.TLSPrivateKeyKey:        pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
			corev1.ServiceAccountRootCAKey: sign(ca, &caKey.PublicKey),
		},
	}
}
