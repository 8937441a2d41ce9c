// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

func TestTheClientCAIsReadAgainAndTheLastGoodOneStays(t *testing.T) {
	now := time.Now()
	one, two, server := newPair(t, "one", now), newPair(t, "two", now), newPair(t, "server", now)
	path := filepath.Join(t.TempDir(), "ca.crt")
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenClientCA(path, logr.Discard()); err == nil {
		t.Error("an absent file should be an error")
	}
	write([]byte("nonsense"))
	if _, err := OpenClientCA(path, logr.Discard()); err == nil {
		t.Error("a file without a certificate should be an error")
	}
	write(Bundle{one.Cert}.PEM())
	ca, err := OpenClientCA(path, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := server.Leaf([]string{"localhost"}, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*leaf}}
	ca.Require(conf)
	roots := x509.NewCertPool()
	roots.AddCert(server.Cert)

	expect := func(when string, by *Pair, want bool) {
		t.Helper()
		client := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "localhost"}
		if by != nil {
			client.Certificates = []tls.Certificate{clientLeaf(t, by, now)}
		}
		if got := connects(t, conf, client); got != want {
			t.Errorf("%s: accepted %v, want %v", when, got, want)
		}
	}
	expect("its client", one, true)
	expect("another CA's client", two, false)
	expect("no certificate", nil, false)
	write(Bundle{two.Cert}.PEM())
	expect("after a change, the new CA's client", two, true)
	expect("after a change, the old CA's client", one, false)
	write([]byte("nonsense"))
	expect("after a bad change", two, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("after the file went", two, true)
}

func newPair(t *testing.T, name string, now time.Time) *Pair {
	t.Helper()
	p, err := NewCA(name, now, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// connects tells if both sides of a handshake are content.
func connects(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	ends := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		ends <- s.HandshakeContext(t.Context())
		a.Close()
	}()
	c := tls.Client(b, client)
	err := c.HandshakeContext(t.Context())
	if err == nil {
		// A server of TLS 1.3 checks after the client is done: its verdict comes with what it sends next.
		_, _ = c.Read(make([]byte, 1))
	}
	return err == nil && <-ends == nil
}

// clientLeaf is a client's certificate.
func clientLeaf(t *testing.T, ca *Pair, now time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
