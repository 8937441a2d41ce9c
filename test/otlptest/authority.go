// SPDX-License-Identifier: Apache-2.0

package otlptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs the certificates of receivers and of their clients.
type Authority struct {
	File                string // its certificate, as OTEL_EXPORTER_OTLP_CERTIFICATE names one
	ClientFile, KeyFile string // a client's

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority whose files are in a folder.
func NewAuthority(t TB, dir string) *Authority {
	t.Helper()
	a := &Authority{
		File: filepath.Join(dir, "ca.pem"), ClientFile: filepath.Join(dir, "client.pem"), KeyFile: filepath.Join(dir, "client-key.pem"),
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	must(err)
	a.cert, err = x509.ParseCertificate(der)
	must(err)
	must(write(a.File, "CERTIFICATE", der))
	pair, err := a.issue(x509.ExtKeyUsageClientAuth)
	must(err)
	must(write(a.ClientFile, "CERTIFICATE", pair.Certificate[0]))
	der, err = x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(err)
	must(write(a.KeyFile, "PRIVATE KEY", der))
	return a
}

// Listen starts a receiver on a host that speaks TLS and, if mutual, asks clients for a certificate. It ends with the
// test.
func (a *Authority) Listen(t TB, host string, mutual bool) *Receiver {
	t.Helper()
	pair, err := a.issue(x509.ExtKeyUsageServerAuth)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	if mutual {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		cfg.ClientCAs.AddCert(a.cert)
	}
	r, err := listen(net.JoinHostPort(host, "0"), net.JoinHostPort(host, "0"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func (a *Authority) issue(usage x509.ExtKeyUsage) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func write(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
