// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// signal is the part of an OTLP variable's name and of an OTLP path that names what is sent.
type signal struct{ env, path string }

var (
	tracesSignal  = signal{"TRACES", "/v1/traces"}
	metricsSignal = signal{"METRICS", "/v1/metrics"}
)

// target is where one signal goes.
type target struct {
	protocol string
	url      *url.URL // http or https, a port always, for HTTP the whole path
	ours     bool     // whoever wrote the environment does not know it: the headers there are meant for another
}

// lookup reads OTEL_EXPORTER_OTLP_<signal>_<name>, else OTEL_EXPORTER_OTLP_<name>.
func (s signal) lookup(name string) (value string, own bool) {
	if v := strings.TrimSpace(os.Getenv("OTEL_EXPORTER_OTLP_" + s.env + "_" + name)); v != "" {
		return v, true
	}
	return strings.TrimSpace(os.Getenv("OTEL_EXPORTER_OTLP_" + name)), false
}

// target finds where the signal goes: the configuration first, then the environment.
//
// Without a protocol the port decides, because both kinds of receiver exist and nearly all of them listen on 4317 for
// gRPC and on 4318 for HTTP.
func (s signal) target(cfg ExporterConfig) (target, error) {
	raw, protocol, own := cfg.Endpoint, cfg.Protocol, false
	if raw == "" {
		raw, own = s.lookup("ENDPOINT")
	}
	ours := raw == ""
	if ours {
		raw = strings.TrimSpace(os.Getenv(startup.EnvFallbackEndpoint))
		protocol = cmp.Or(protocol, strings.TrimSpace(os.Getenv(startup.EnvFallbackProtocol)))
	}
	if raw == "" {
		return target{}, errors.New("no OTLP endpoint: set OTEL_EXPORTER_OTLP_ENDPOINT")
	}
	secure := true
	if v, _ := s.lookup("INSECURE"); v != "" {
		insecure, err := strconv.ParseBool(v)
		if err != nil {
			return target{}, fmt.Errorf("parse OTEL_EXPORTER_OTLP_INSECURE: %w", err)
		}
		secure = !insecure
	}
	u, err := parseURL(raw, secure)
	if err != nil {
		return target{}, err
	}
	if protocol == "" && !ours {
		protocol = s.value("PROTOCOL")
	}
	switch protocol {
	case startup.ProtocolGRPC, startup.ProtocolHTTP:
	case "":
		protocol = startup.ProtocolGRPC
		if u.Port() == "4318" || strings.HasSuffix(u.Path, s.path) {
			protocol = startup.ProtocolHTTP
		}
	case "http/json":
		protocol = startup.ProtocolHTTP // every receiver that takes JSON takes protobuf
	default:
		return target{}, fmt.Errorf("unknown OTLP protocol %q: use %q or %q", protocol, startup.ProtocolGRPC, startup.ProtocolHTTP)
	}
	if u.Port() == "" {
		port := "4317"
		if protocol == startup.ProtocolHTTP {
			port = "4318"
		}
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	if protocol == startup.ProtocolHTTP && !own && !strings.HasSuffix(u.Path, s.path) {
		u.Path = path.Join("/", u.Path, s.path)
	}
	return target{protocol: protocol, url: u, ours: ours}, nil
}
