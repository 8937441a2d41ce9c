// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"

	"github.com/coldtrace/coldtrace/startup"
)

// Bounds of what a receiver can make us hold, in bytes.
const (
	maxAnswer        = 1 << 20
	maxAnswerHeaders = 64 << 10
)

// connection carries one signal or, where both go to one place by the same means, both: one keep-alive connection.
type connection struct {
	grpc *grpc.ClientConn // nil for HTTP
	http *http.Client     // nil for gRPC
}

// means are what makes two connections to one place different.
type means struct {
	protocol, scheme, host      string
	authority, certificate, key string // files
	gzip                        bool
}

// means reads what the environment says of a signal's connection. The scheme alone decides whether it is encrypted:
// a certificate in the environment may be meant for another signal.
func (s signal) means(t target) means {
	m := means{protocol: t.protocol, scheme: t.url.Scheme, host: t.url.Host}
	m.gzip = s.value("COMPRESSION") == "gzip"
	if m.scheme == "https" {
		m.authority, m.certificate, m.key = s.value("CERTIFICATE"), s.value("CLIENT_CERTIFICATE"), s.value("CLIENT_KEY")
	}
	return m
}

func (s signal) value(name string) string {
	v, _ := s.lookup(name)
	return v
}

// connect prepares a connection. Nothing is sent yet.
func (m means) connect() (*connection, error) {
	var secure *tls.Config
	if m.scheme == "https" {
		var err error
		if secure, err = m.tls(); err != nil {
			return nil, err
		}
	}
	if m.protocol == startup.ProtocolHTTP {
		return &connection{http: &http.Client{Transport: &polite{&http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: maxAnswerHeaders,
		}},
			// Followed, a redirection would take our headers, and with them a key, to wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}, nil
	}
	creds := insecure.NewCredentials()
	if secure != nil {
		creds = credentials.NewTLS(secure)
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		// gRPC's own pause between two attempts to connect grows to two minutes: a collector that comes up late must
		// find us before the container ends.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: DefaultExportTimeout,
		}),
		// Bytes that the other end's kernel does not acknowledge for that long break the connection (TCP_USER_TIMEOUT):
		// a collector's node that is gone would otherwise be waited for for a quarter of an hour. Pings less often than
		// each five minutes are what any server bears.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 5 * time.Minute, Timeout: 8 * time.Second}),
		grpc.WithDisableServiceConfig(), // it would be looked up in DNS
		grpc.WithMaxHeaderListSize(maxAnswerHeaders),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	}
	if m.gzip {
		opts = append(opts, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	conn, err := grpc.NewClient(m.host, opts...)
	if err != nil {
		return nil, fmt.Errorf("make a gRPC client: %w", err)
	}
	return &connection{grpc: conn}, nil
}

// tls reads the files. A client's certificate is read again for each connection, because it may have been renewed.
func (m means) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.authority != "" {
		pem, err := os.ReadFile(m.authority)
		if err != nil {
			return nil, fmt.Errorf("read OTEL_EXPORTER_OTLP_CERTIFICATE, or the signal's own: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read OTEL_EXPORTER_OTLP_CERTIFICATE, or the signal's own: %s has no certificate in PEM", m.authority)
		}
	}
	if m.certificate == "" && m.key == "" {
		return cfg, nil
	}
	if m.certificate == "" || m.key == "" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY, or the signal's own, need each other: set both")
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(m.certificate, m.key)
		if err != nil {
			return nil, fmt.Errorf("read OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY, or the signal's own: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return cfg, nil
}

func (c *connection) close() error {
	if c.grpc != nil {
		return c.grpc.Close()
	}
	c.http.CloseIdleConnections()
	return nil
}

// timeout bounds one attempt to export a signal. OTLP's variable counts milliseconds. OpenTelemetry for Python, the
// language of what runs in the same container, reads seconds: nobody means less than a tenth of one.
func (s signal) timeout(cfg ExporterConfig) time.Duration {
	if cfg.Timeout > 0 {
		return cfg.Timeout
	}
	n, err := strconv.ParseInt(s.value("TIMEOUT"), 10, 32)
	switch {
	case err != nil || n <= 0:
		return DefaultExportTimeout
	case n < 100:
		return time.Duration(n) * time.Second
	}
	return time.Duration(n) * time.Millisecond
}

// polite notes when a receiver wants to be asked again: the exporter's error does not tell.
type polite struct{ *http.Transport }

type afterKey struct{}

// RoundTrip sends one request.
func (p *polite) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := p.Transport.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	if after, ok := q.Context().Value(afterKey{}).(*time.Duration); ok && resp.StatusCode >= 400 {
		*after = retryAfter(resp.Header.Get("Retry-After"))
	}
	return resp, nil
}

func retryAfter(v string) time.Duration {
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// listen lets the HTTP transport say when to ask again.
func listen(ctx context.Context) (context.Context, *time.Duration) {
	after := new(time.Duration)
	return context.WithValue(ctx, afterKey{}, after), after
}
