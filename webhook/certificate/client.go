// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// clientCheck is how often the file is read at most, and only if a connection comes.
const clientCheck = 5 * time.Second

// ClientCA is the CA in a file that clients' certificates must be from. A file that changes is read again; as long as a
// changed one holds no certificate, the last good one counts.
type ClientCA struct {
	path string
	log  logr.Logger
	now  func() time.Time

	mu      sync.Mutex
	read    time.Time
	content []byte
	roots   *x509.CertPool
}

// OpenClientCA reads the file for the first time.
func OpenClientCA(path string, log logr.Logger) (*ClientCA, error) {
	c := &ClientCA{path: path, log: log, now: time.Now}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Require makes a server ask for a client's certificate and check it. The check is not crypto/tls's own, which
// knows only the CAs of the moment when the server was made.
func (c *ClientCA) Require(conf *tls.Config) {
	conf.ClientAuth = tls.RequireAnyClientCert
	conf.SessionTicketsDisabled = true // a resumed session would tell of an older check
	conf.VerifyConnection = c.verify
}

func (c *ClientCA) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the client sent no certificate")
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: c.current(), Intermediates: between, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("verify client certificate: %w", err)
	}
	return nil
}

// current is the pool, read again if that is some time ago.
func (c *ClientCA) current() *x509.CertPool {
	c.mu.Lock()
	due := c.now().Sub(c.read) >= clientCheck
	c.mu.Unlock()
	if due {
		if err := c.load(); err != nil {
			c.log.Error(err, "The client CA's file is bad; the last good one stays")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.roots
}

func (c *ClientCA) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = c.now()
	content, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("read client CA: %w", err)
	}
	if c.roots != nil && bytes.Equal(content, c.content) {
		return nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return fmt.Errorf("read client CA: %s holds no certificate", c.path)
	}
	if c.roots != nil {
		c.log.Info("The client CA changed")
	}
	c.content, c.roots = content, roots
	return nil
}
