// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs the certificates of one cluster; it lives as long as the cluster's folder does.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// certLife outlives any test cluster.
const certLife = 30 * 24 * time.Hour

// writePKI makes every key and certificate of the cluster in dir.
//
// The two authorities are separate because the API server lets whoever the front-proxy CA signed speak
// for any user.
func writePKI(dir, nodeName string, ips []string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create key folder: %w", err)
	}
	ca, err := newAuthority(dir, "ca")
	if err != nil {
		return err
	}
	front, err := newAuthority(dir, "front-proxy-ca")
	if err != nil {
		return err
	}
	var addrs []net.IP
	for _, ip := range append([]string{"127.0.0.1"}, ips...) {
		addrs = append(addrs, net.ParseIP(ip))
	}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, c := range []struct {
		name   string
		signer authority
		cn     string
		org    []string
		usage  []x509.ExtKeyUsage
		dns    []string
	}{
		{"apiserver", ca, "kube-apiserver", nil, server, []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		{"apiserver-kubelet-client", ca, "kube-apiserver-kubelet-client", []string{"system:masters"}, client, nil},
		{"front-proxy-client", front, "front-proxy-client", nil, client, nil},
		{"admin", ca, "admin", []string{"system:masters"}, client, nil},
		{"controller-manager", ca, "system:kube-controller-manager", nil, client, nil},
		{"scheduler", ca, "system:kube-scheduler", nil, client, nil},
		{"kube-proxy", ca, "system:kube-proxy", nil, client, nil},
		{"kubelet", ca, "system:node:" + nodeName, []string{"system:nodes"}, client, nil},
		{"kubelet-serving", ca, nodeName, nil, server, []string{nodeName}},
	} {
		template := &x509.Certificate{
			Subject:     pkix.Name{CommonName: c.cn, Organization: c.org},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: c.usage,
			DNSNames:    c.dns,
		}
		if c.dns != nil {
			template.IPAddresses = addrs
		}
		if _, err := c.signer.issue(dir, c.name, template); err != nil {
			return err
		}
	}
	// Service account tokens are signed with a key that is nobody's certificate.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate service account key: %w", err)
	}
	return writeKey(filepath.Join(dir, "sa.key"), key)
}

func newAuthority(dir, name string) (authority, error) {
	return authority{}.issue(dir, name, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "coldtrace test cluster " + name},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	})
}

// issue signs template with a new key and writes NAME.crt and NAME.key; an empty authority signs itself.
func (a authority) issue(dir, name string, template *x509.Certificate) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("generate key %s: %w", name, err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return authority{}, fmt.Errorf("draw serial: %w", err)
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(certLife)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return authority{}, fmt.Errorf("sign %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("parse %s: %w", name, err)
	}
	file := filepath.Join(dir, name+".crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return authority{}, fmt.Errorf("write certificate: %w", err)
	}
	return authority{cert: cert, key: key}, writeKey(filepath.Join(dir, name+".key"), key)
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}
