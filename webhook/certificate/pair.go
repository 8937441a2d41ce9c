// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// backdate is how far before now a certificate begins to be valid, for clocks that are behind.
const backdate = 5 * time.Minute

// Pair is a certificate with its key.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// NewCA makes a self-signed CA that is valid for the given time from now.
func NewCA(commonName string, now time.Time, lifetime time.Duration) (*Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate CA key: %w", err)
	}
	template := &x509.Certificate{
		// The time makes two CAs of one name tell apart in a bundle; verification goes by key id.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s %s", commonName, now.UTC().Format(time.RFC3339))},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(template, key, &Pair{Cert: template, Key: key})
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	return &Pair{Cert: cert, Key: key}, nil
}

// sign makes a certificate for a key.
func sign(template *x509.Certificate, key crypto.Signer, by *Pair) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, by.Cert, key.Public(), by.Key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Leaf signs a serving certificate for the names, valid for the given time but never longer than its CA.
func (p *Pair) Leaf(dnsNames []string, now time.Time, lifetime time.Duration) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate leaf key: %w", err)
	}
	notAfter := now.Add(lifetime)
	if notAfter.After(p.Cert.NotAfter) {
		notAfter = p.Cert.NotAfter
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: dnsNames[0]},
		DNSNames:              dnsNames,
		NotBefore:             now.Add(-backdate),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	leaf, err := sign(template, key, p)
	if err != nil {
		return nil, fmt.Errorf("make leaf: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func (p *Pair) encode() (certPEM, keyPEM []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode CA key: %w", err)
	}
	return Bundle{p.Cert}.PEM(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func decodePair(certPEM, keyPEM []byte) (*Pair, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		// The error of a PEM or ASN.1 parser holds no key material.
		return nil, fmt.Errorf("decode CA: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || pair.Leaf == nil || !pair.Leaf.IsCA {
		return nil, errors.New("decode CA: not a CA certificate with a signing key")
	}
	return &Pair{Cert: pair.Leaf, Key: signer}, nil
}

// Bundle is a list of trusted CA certificates.
type Bundle []*x509.Certificate

// DecodeBundle reads the certificates of a PEM bundle and leaves out what is none.
func DecodeBundle(b []byte) Bundle {
	var out Bundle
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return out
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && cert.IsCA && !out.Contains(cert) {
			out = append(out, cert)
		}
	}
}

// PEM is the bundle as a webhook configuration holds it.
func (b Bundle) PEM() []byte {
	var out []byte
	for _, c := range b {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// Contains says whether the bundle holds exactly this certificate.
func (b Bundle) Contains(cert *x509.Certificate) bool { return slices.ContainsFunc(b, cert.Equal) }

// valid is what of the bundle has not expired.
func (b Bundle) valid(now time.Time) Bundle {
	return slices.DeleteFunc(slices.Clone(b), func(c *x509.Certificate) bool { return !now.Before(c.NotAfter) })
}

// verifies says whether a client that trusts the bundle accepts the leaf for the name at the time.
func (b Bundle) verifies(leaf *x509.Certificate, name string, now time.Time) bool {
	roots := x509.NewCertPool()
	for _, c := range b {
		roots.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err == nil
}
