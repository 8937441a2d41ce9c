// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// place is where a receiver listens, by protocol.
func place(r *otlptest.Receiver, protocol string, secure bool) string {
	switch {
	case protocol == startup.ProtocolHTTP:
		return r.HTTP
	case secure:
		return "https://" + r.GRPC
	}
	return "http://" + r.GRPC
}

// send exports a start's spans and measurements once.
func send(t *testing.T, cfg otlp.ExporterConfig) error {
	t.Helper()
	e, err := otlp.NewExporter(t.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := e.ExportSpans(t.Context(), subject, aStart()); err != nil {
		return err
	}
	return e.ExportMeasurements(t.Context(), startup.Measurements(subject, aStart()[0]))
}

func TestTelemetryIsEncryptedAsTheEnvironmentSays(t *testing.T) {
	ours, others := otlptest.NewAuthority(t, t.TempDir()), otlptest.NewAuthority(t, t.TempDir())
	type env = map[string]string
	for name, c := range map[string]struct {
		mutual bool
		env    env
		fails  string // part of the error; empty: none
	}{
		"an authority":                     {false, env{"CERTIFICATE": ours.File}, ""},
		"an authority of each signal":      {false, env{"TRACES_CERTIFICATE": ours.File, "METRICS_CERTIFICATE": ours.File, "CERTIFICATE": others.File}, ""},
		"no authority":                     {false, nil, "certificate"},
		"another authority":                {false, env{"CERTIFICATE": others.File}, "certificate"},
		"a client certificate":             {true, env{"CERTIFICATE": ours.File, "CLIENT_CERTIFICATE": ours.ClientFile, "CLIENT_KEY": ours.KeyFile}, ""},
		"a client certificate of a signal": {true, env{"CERTIFICATE": ours.File, "TRACES_CLIENT_CERTIFICATE": ours.ClientFile, "TRACES_CLIENT_KEY": ours.KeyFile, "METRICS_CLIENT_CERTIFICATE": ours.ClientFile, "METRICS_CLIENT_KEY": ours.KeyFile}, ""},
		"no client certificate":            {true, env{"CERTIFICATE": ours.File}, "export 2 spans"},
		"another's client certificate":     {true, env{"CERTIFICATE": ours.File, "CLIENT_CERTIFICATE": others.ClientFile, "CLIENT_KEY": others.KeyFile}, "export 2 spans"},
		"a client certificate alone":       {true, env{"CERTIFICATE": ours.File, "CLIENT_CERTIFICATE": ours.ClientFile}, "CLIENT_KEY"},
		"a key of another certificate":     {true, env{"CERTIFICATE": ours.File, "CLIENT_CERTIFICATE": ours.ClientFile, "CLIENT_KEY": others.KeyFile}, "OTEL_EXPORTER_OTLP_CLIENT_KEY"},
		"an authority that is not there":   {false, env{"CERTIFICATE": "/no/such/file"}, "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		"an authority that is none":        {false, env{"TRACES_CERTIFICATE": ours.KeyFile}, ours.KeyFile + " has no certificate"},
	} {
		for _, protocol := range []string{startup.ProtocolGRPC, startup.ProtocolHTTP} {
			t.Run(name+", "+strings.ReplaceAll(protocol, "/", " "), func(t *testing.T) {
				r := ours.Listen(t, "127.0.0.1", c.mutual)
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", place(r, protocol, true))
				t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
				for k, v := range c.env {
					t.Setenv("OTEL_EXPORTER_OTLP_"+k, v)
				}
				err := send(t, otlp.ExporterConfig{Timeout: 10 * time.Second})
				if c.fails != "" {
					if err == nil || !strings.Contains(err.Error(), c.fails) || len(r.Spans()) != 0 {
						t.Errorf("%v, want %q; %d spans", err, c.fails, len(r.Spans()))
					}
					return
				}
				if err != nil || len(r.Spans()) != 2 || len(r.Points()) != 1 {
					t.Errorf("%v, %d spans, %d points", err, len(r.Spans()), len(r.Points()))
				}
			})
		}
	}
}

func TestACertificateIsNotUsedForPlainText(t *testing.T) {
	a, r := otlptest.NewAuthority(t, t.TempDir()), otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", a.File)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", a.ClientFile)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", a.KeyFile)
	for _, protocol := range []string{startup.ProtocolGRPC, startup.ProtocolHTTP} {
		if err := send(t, otlp.ExporterConfig{Endpoint: place(r, protocol, false), Protocol: protocol}); err != nil {
			t.Errorf("%s: %v", protocol, err)
		}
	}
}

func TestARenewedClientCertificateIsUsed(t *testing.T) {
	old, renewed := otlptest.NewAuthority(t, t.TempDir()), otlptest.NewAuthority(t, t.TempDir())
	r := renewed.Listen(t, "127.0.0.1", true)
	dir := t.TempDir()
	mount := func(from *otlptest.Authority) {
		for _, file := range []string{from.ClientFile, from.KeyFile} {
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	mount(old)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", renewed.File)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", filepath.Join(dir, filepath.Base(old.ClientFile)))
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", filepath.Join(dir, filepath.Base(old.KeyFile)))
	e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: r.HTTP, Protocol: startup.ProtocolHTTP})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ExportSpans(t.Context(), subject, aStart()); err == nil {
		t.Fatal("accepted with the old certificate")
	}
	mount(renewed)
	if err := e.ExportSpans(t.Context(), subject, aStart()); err != nil {
		t.Error(err)
	}
}

func TestIPv6IsReachedWithAndWithoutBrackets(t *testing.T) {
	a := otlptest.NewAuthority(t, t.TempDir())
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here")
	} else {
		_ = l.Close()
	}
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", a.File)
	for _, protocol := range []string{startup.ProtocolGRPC, startup.ProtocolHTTP} {
		secure := a.Listen(t, "::1", false)
		plain, err := otlptest.Listen("[::1]:0", "[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(plain.Close)
		for _, endpoint := range []string{place(plain, protocol, false), place(secure, protocol, true)} {
			for _, written := range []string{endpoint, strings.NewReplacer("[", "", "]", "").Replace(endpoint)} {
				if err := send(t, otlp.ExporterConfig{Endpoint: written, Protocol: protocol}); err != nil {
					t.Errorf("%s by %s: %v", written, protocol, err)
				}
			}
		}
	}
}

func TestASignalsOwnVariablesWin(t *testing.T) {
	type env = map[string]string
	both, spans, metrics := otlptest.New(t), otlptest.New(t), otlptest.New(t)
	for name, c := range map[string]struct {
		env               env
		spansTo, pointsTo *otlptest.Receiver
	}{
		"one endpoint":                    {env{"ENDPOINT": "http://" + both.GRPC}, both, both},
		"an endpoint each":                {env{"TRACES_ENDPOINT": "http://" + spans.GRPC, "METRICS_ENDPOINT": "http://" + metrics.GRPC}, spans, metrics},
		"an endpoint for metrics":         {env{"ENDPOINT": "http://" + both.GRPC, "METRICS_ENDPOINT": "http://" + metrics.GRPC}, both, metrics},
		"a protocol each":                 {env{"TRACES_ENDPOINT": "http://" + spans.GRPC, "METRICS_ENDPOINT": metrics.HTTP + "/v1/metrics", "METRICS_PROTOCOL": "http/protobuf"}, spans, metrics},
		"a protocol for spans":            {env{"ENDPOINT": "http://" + both.GRPC, "TRACES_ENDPOINT": spans.HTTP + "/v1/traces", "TRACES_PROTOCOL": "http/protobuf", "PROTOCOL": "grpc"}, spans, both},
		"JSON is sent as protobuf":        {env{"ENDPOINT": both.HTTP, "PROTOCOL": "http/json"}, both, both},
		"compression of all":              {env{"ENDPOINT": both.HTTP, "PROTOCOL": "http/protobuf", "COMPRESSION": "gzip"}, both, both},
		"compression of spans, gRPC":      {env{"ENDPOINT": "http://" + both.GRPC, "TRACES_COMPRESSION": "gzip"}, both, both},
		"compression of metrics, HTTP":    {env{"ENDPOINT": both.HTTP, "PROTOCOL": "http/protobuf", "METRICS_COMPRESSION": "gzip"}, both, both},
		"a compression nobody has":        {env{"ENDPOINT": "http://" + both.GRPC, "COMPRESSION": "snappy"}, both, both},
		"headers":                         {env{"ENDPOINT": "http://" + both.GRPC, "HEADERS": "api-key=secret,tenant=a%20b"}, both, both},
		"headers of metrics":              {env{"ENDPOINT": both.HTTP, "PROTOCOL": "http/protobuf", "METRICS_HEADERS": "api-key=secret", "HEADERS": "api-key=other"}, both, both},
		"a time-out that is no number":    {env{"ENDPOINT": "http://" + both.GRPC, "TIMEOUT": "10s"}, both, both},
		"a time-out in Python's seconds":  {env{"ENDPOINT": both.HTTP, "PROTOCOL": "http/protobuf", "TIMEOUT": "5"}, both, both},
		"TLS files that are not for this": {env{"ENDPOINT": "http://" + both.GRPC, "TRACES_CERTIFICATE": "/no/such/file"}, both, both},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv("OTEL_EXPORTER_OTLP_"+k, v)
			}
			spansBefore, pointsBefore := len(c.spansTo.Spans()), len(c.pointsTo.Points())
			if err := send(t, otlp.ExporterConfig{}); err != nil {
				t.Fatal(err)
			}
			if n := len(c.spansTo.Spans()) - spansBefore; n != 2 {
				t.Errorf("%d spans", n)
			}
			if n := len(c.pointsTo.Points()) - pointsBefore; n != 1 {
				t.Errorf("%d points", n)
			}
			toSpans, toMetrics := c.spansTo.Headers(), c.pointsTo.Headers()
			if c.spansTo == c.pointsTo {
				toSpans = toSpans[:len(toSpans)-1]
			}
			for what, h := range map[string]http.Header{"TRACES": toSpans[len(toSpans)-1], "METRICS": toMetrics[len(toMetrics)-1]} {
				compressed := c.env["COMPRESSION"] == "gzip" || c.env[what+"_COMPRESSION"] == "gzip"
				if got := h.Get("Content-Encoding") == "gzip"; got != compressed {
					t.Errorf("%s: compressed %v: %v", what, got, h)
				}
				want := c.env["HEADERS"]
				if own := c.env[what+"_HEADERS"]; own != "" {
					want = own
				}
				for pair := range strings.SplitSeq(strings.ReplaceAll(want, "%20", " "), ",") {
					key, value, _ := strings.Cut(pair, "=")
					if key != "" && h.Get(key) != value {
						t.Errorf("%s: %s is missing", what, key)
					}
				}
			}
		})
	}
}

func TestBothSignalsShareOneConnectionThatIsKept(t *testing.T) {
	a := otlptest.NewAuthority(t, t.TempDir())
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", a.File)
	for _, secure := range []bool{false, true} {
		for _, protocol := range []string{startup.ProtocolGRPC, startup.ProtocolHTTP} {
			r := otlptest.New(t)
			if secure {
				r = a.Listen(t, "127.0.0.1", false)
			}
			e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: place(r, protocol, secure), Protocol: protocol})
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if err := e.ExportSpans(t.Context(), subject, aStart()); err != nil {
					t.Fatal(err)
				}
				if err := e.ExportMeasurements(t.Context(), startup.Measurements(subject, aStart()[0])); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if n := r.Connections(); n != 1 {
				t.Errorf("%s, encrypted %v: %d connections", protocol, secure, n)
			}
		}
	}
}

func TestARedirectionIsNotFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer thief.Close()
	s := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")
	err := send(t, otlp.ExporterConfig{Endpoint: s.URL, Protocol: startup.ProtocolHTTP})
	if err == nil || !otlp.Permanent(err) || elsewhere.Load() != 0 || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v; %d requests elsewhere", err, elsewhere.Load())
	}
}

// A key in the environment is for an endpoint that the environment names. Beside one that only the wrapper knows of it may be for
// any other.
func TestHeadersGoToNoEndpointThatTheEnvironmentDoesNotKnow(t *testing.T) {
	ours, theirs := otlptest.New(t), otlptest.New(t)
	for name, c := range map[string]struct {
		fallback, protocol string
		own                map[string]string
		keys               int // of two requests
	}{
		"gRPC":                     {fallback: "http://" + ours.GRPC},
		"HTTP":                     {fallback: ours.HTTP, protocol: "http/protobuf"},
		"their protocol is theirs": {fallback: "http://" + ours.GRPC, own: map[string]string{"PROTOCOL": "http/protobuf"}},
		"a signal's own":           {fallback: "http://" + ours.GRPC, own: map[string]string{"METRICS_HEADERS": "api-key=secret", "TRACES_HEADERS": "api-key=secret"}},
		"spans go to their own":    {fallback: "http://" + ours.GRPC, own: map[string]string{"TRACES_ENDPOINT": "http://" + theirs.GRPC}, keys: 1},
		"both do":                  {fallback: "http://" + ours.GRPC, own: map[string]string{"ENDPOINT": "http://" + theirs.GRPC}, keys: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")
			for k, v := range c.own {
				t.Setenv("OTEL_EXPORTER_OTLP_"+k, v)
			}
			t.Setenv(startup.EnvFallbackEndpoint, c.fallback)
			t.Setenv(startup.EnvFallbackProtocol, c.protocol)
			before, beforeTheirs := len(ours.Headers()), len(theirs.Headers())
			if err := send(t, otlp.ExporterConfig{}); err != nil {
				t.Fatal(err)
			}
			fresh, freshTheirs := ours.Headers()[before:], theirs.Headers()[beforeTheirs:]
			for _, h := range fresh {
				if h.Get("api-key") != "" {
					t.Errorf("ours got %v", h)
				}
			}
			for _, h := range freshTheirs {
				if h.Get("api-key") != "secret" {
					t.Errorf("theirs got %v", h)
				}
			}
			if len(freshTheirs) != c.keys || len(fresh) != 2-c.keys {
				t.Errorf("%d requests to ours, %d to theirs", len(fresh), len(freshTheirs))
			}
		})
	}
}
