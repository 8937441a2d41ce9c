// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestCertificatesVerifyForWhatTheyAreUsedFor(t *testing.T) {
	dir := t.TempDir()
	if err := writePKI(dir, "some-node", []string{"10.1.2.3"}); err != nil {
		t.Fatal(err)
	}
	pool := func(name string) *x509.CertPool {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		p := x509.NewCertPool()
		p.AppendCertsFromPEM(b)
		return p
	}
	ca, front := pool("ca.crt"), pool("front-proxy-ca.crt")
	for name, c := range map[string]struct {
		roots *x509.CertPool
		dns   string
		usage x509.ExtKeyUsage
		org   string
	}{
		"apiserver":          {ca, "kubernetes.default.svc", x509.ExtKeyUsageServerAuth, ""},
		"kubelet-serving":    {ca, "10.1.2.3", x509.ExtKeyUsageServerAuth, ""},
		"admin":              {ca, "", x509.ExtKeyUsageClientAuth, "system:masters"},
		"kubelet":            {ca, "", x509.ExtKeyUsageClientAuth, "system:nodes"},
		"front-proxy-client": {front, "", x509.ExtKeyUsageClientAuth, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
			if err != nil {
				t.Fatal(err)
			}
			opts := x509.VerifyOptions{Roots: c.roots, DNSName: c.dns, KeyUsages: []x509.ExtKeyUsage{c.usage}}
			if _, err := pair.Leaf.Verify(opts); err != nil {
				t.Error(err)
			}
			if org := pair.Leaf.Subject.Organization; c.org != "" && (len(org) != 1 || org[0] != c.org) {
				t.Errorf("organization %v, want %s", org, c.org)
			}
			info, err := os.Stat(filepath.Join(dir, name+".key"))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("key's mode %v, %v", info.Mode(), err)
			}
		})
	}
}

// Whoever the front proxy's authority signs may speak for any user.
func TestTheFrontProxyIsNotSignedByTheClusterAuthority(t *testing.T) {
	dir := t.TempDir()
	if err := writePKI(dir, "some-node", nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "front-proxy-client.crt"), filepath.Join(dir, "front-proxy-client.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("the cluster's authority signed it")
	}
}
