// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
)

// What a client that is no API server may cost. An API server holds a few connections, sends 300 bytes of header at once
// and says in the query how long it waits, at most 30 s.
const (
	headerTimeout  = 5 * time.Second // for the TLS handshake, too
	writeTimeout   = 40 * time.Second
	idleTimeout    = 90 * time.Second // as long as the API server's client keeps a connection
	maxHeaderBytes = 16 << 10
	maxConnections = 1024
)

// ServerConfig is what a Server needs.
type ServerConfig struct {
	Port int
	// CertDir has tls.crt and tls.key, watched. Empty: TLS has a GetCertificate.
	CertDir string
	TLS     *tls.Config
	Log     logr.Logger
}

// Server serves a mux over TLS with bounded time, header and connections; controller-runtime's own bounds none of these
// below what a slow client can use up. It takes that one's place in a manager, which starts it before its caches.
type Server struct {
	config  ServerConfig
	mux     *http.ServeMux
	limit   *connections
	started atomic.Bool
}

var _ ctrlwebhook.Server = &Server{}

// NewServer makes a server.
func NewServer(c ServerConfig) (*Server, error) {
	switch {
	case c.TLS == nil:
		return nil, errors.New("webhook: a TLS configuration is needed")
	case c.Port <= 0:
		return nil, errors.New("webhook: a port is needed")
	case c.CertDir == "" && c.TLS.GetCertificate == nil:
		return nil, errors.New("webhook: a folder or a source of certificates is needed")
	}
	return &Server{config: c, mux: http.NewServeMux(), limit: newConnections(maxConnections)}, nil
}

// NeedLeaderElection is false: every replica serves.
func (s *Server) NeedLeaderElection() bool { return false }

// Register serves a handler at a path.
func (s *Server) Register(path string, h http.Handler) { s.mux.Handle(path, h) }

// WebhookMux is what is served.
func (s *Server) WebhookMux() *http.ServeMux { return s.mux }

// Connected tells when the last connection came.
func (s *Server) Connected() time.Time { return time.Unix(0, s.limit.last.Load()) }

// StartedChecker is a readiness check: the port is open.
func (s *Server) StartedChecker() healthz.Checker {
	return func(*http.Request) error {
		if !s.started.Load() {
			return errors.New("the webhook's port is not open")
		}
		return nil
	}
}

// Start serves until the context ends, and then until what is under way is done.
func (s *Server) Start(ctx context.Context) error {
	conf := s.config.TLS.Clone()
	if s.config.CertDir != "" {
		if err := s.watchFiles(ctx, conf); err != nil {
			return err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(s.config.Port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{ //nolint:gosec // ReadTimeout would cut off a policy's longer timeout; the handler sets one for the body
		Handler:           s.limit.serving(s.mux),
		ConnContext:       s.limit.accept,
		ConnState:         s.limit.state,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(s.config.Log.V(1)), slog.LevelInfo), // clients' faults
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), headerTimeout)
		defer cancel()
		stopped <- server.Shutdown(last)
	}()
	s.started.Store(true)
	if err := server.Serve(tls.NewListener(listener, conf)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve webhook: %w", err)
	}
	if err := <-stopped; err != nil {
		// Connections of slow clients are left; whoever sent a whole request has its answer.
		s.config.Log.V(1).Info("Connections were cut", "error", err.Error())
		return server.Close()
	}
	return nil
}

// watchFiles has the certificate of the folder served, and read again when it changes.
func (s *Server) watchFiles(ctx context.Context, conf *tls.Config) error {
	watcher, err := certwatcher.New(s.config.CertDir+"/tls.crt", s.config.CertDir+"/tls.key")
	if err != nil {
		return fmt.Errorf("read serving certificate: %w", err)
	}
	watcher.RegisterCallback(func(c tls.Certificate) {
		if c.Leaf != nil {
			ObserveExpiry(c.Leaf.NotAfter)
			s.config.Log.Info("Read the serving certificate", "notAfter", c.Leaf.NotAfter)
		}
	})
	conf.GetCertificate = watcher.GetCertificate
	go func() {
		if err := watcher.Start(ctx); err != nil {
			s.config.Log.Error(err, "The serving certificate's files are no longer watched")
		}
	}()
	return nil
}
