// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/go-logr/logr"
)

// ClientCA is the CA in a file that clients' certificates must be from. The file is read for each handshake, of which an API
// server makes few; where it holds no certificate, the last good ones count.
type ClientCA struct {
	path string
	log  logr.Logger
	good atomic.Pointer[x509.CertPool]
	said atomic.Bool // that the file is bad
}

// OpenClientCA reads the file for the first time.
func OpenClientCA(path string, log logr.Logger) (*ClientCA, error) {
	c := &ClientCA{path: path, log: log}
	return c, c.load()
}

// Require makes a server ask for a client's certificate and check it. The check is not crypto/tls's own, which
// knows only the CAs of the moment when the server was made.
func (c *ClientCA) Require(conf *tls.Config) {
	conf.ClientAuth = tls.RequireAnyClientCert
	conf.SessionTicketsDisabled = true // a resumed session would tell of an older check
	conf.VerifyConnection = c.verify
}

func (c *ClientCA) verify(state tls.ConnectionState) error {
	bad := c.load()
	// Said once: whoever connects must not be able to fill the log.
	if said := c.said.Swap(bad != nil); bad != nil && !said {
		c.log.Error(bad, "The client CA's file is bad; the last good one stays")
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] { // crypto/tls lets none pass who sent none
		between.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: c.good.Load(), Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("verify client certificate: %w", err)
	}
	return nil
}

func (c *ClientCA) load() error {
	content, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("read client CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return fmt.Errorf("read client CA: %s holds no certificate", c.path)
	}
	c.good.Store(roots)
	return nil
}
