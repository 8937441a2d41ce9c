// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// damage is what an installation of OpenTelemetry has suffered: paths below site-packages that are gone, files that are
// emptied, packages of other versions put over it.
type damage struct {
	name    string
	gone    []string // glob patterns
	empty   []string // files, glob patterns
	install []string // requirements, installed without what they need
	flagged bool     // the flag must be given
	short   bool
}

const exporters = "opentelemetry/exporter/otlp/"

// dist is the metadata of one distribution.
func dist(name string) string { return name + "-*.dist-info" }

// damages are for the newest engine. That a server is alive after a request is asked of all.
var damages = []damage{
	{name: "whole", flagged: true, short: true},
	// A distribution that is gone, with its files.
	{name: "no sdk", gone: []string{dist("opentelemetry_sdk"), "opentelemetry/sdk"}},
	{name: "no api", gone: []string{dist("opentelemetry_api"), "opentelemetry/trace", "opentelemetry/context", "opentelemetry/propagate"}},
	{name: "no semantic conventions", gone: []string{dist("opentelemetry_semantic_conventions"), "opentelemetry/semconv"}},
	{name: "no proto", gone: []string{dist("opentelemetry_proto"), "opentelemetry/proto"}},
	{name: "no exporters", gone: []string{"opentelemetry_exporter_*.dist-info", "opentelemetry/exporter"}},
	{name: "no grpc exporter", gone: []string{dist("opentelemetry_exporter_otlp_proto_grpc"), exporters + "proto/grpc"}},
	{name: "no http exporter", gone: []string{dist("opentelemetry_exporter_otlp_proto_http"), exporters + "proto/http"}},
	{name: "no exporter common", gone: []string{dist("opentelemetry_exporter_otlp_proto_common"), exporters + "proto/common"}},
	{name: "no otlp common", gone: []string{dist("opentelemetry_exporter_otlp_common"), exporters + "common"}, short: true},
	{name: "no http transport", gone: []string{dist("opentelemetry_exporter_http_transport"), "opentelemetry/exporter/http"}},
	{name: "no googleapis", gone: []string{dist("googleapis_common_protos"), "google/rpc", "google/api"}},
	{name: "no grpcio", gone: []string{dist("grpcio"), "grpc"}},
	{name: "nothing", gone: []string{"opentelemetry*"}},
	{name: "no conventions for AI", gone: []string{dist("opentelemetry_semantic_conventions_ai"), "opentelemetry/semconv_ai"}},
	// One of another version than the rest.
	{name: "older sdk", install: []string{"opentelemetry-sdk==1.26.0"}, short: true},
	{name: "older api", install: []string{"opentelemetry-api==1.26.0"}},
	{name: "older sdk and api", install: []string{"opentelemetry-sdk==1.26.0", "opentelemetry-api==1.26.0"}},
	{name: "older conventions", install: []string{"opentelemetry-semantic-conventions==0.47b0"}},
	{name: "older proto", install: []string{"opentelemetry-proto==1.26.0"}},
	{name: "older exporter common", install: []string{"opentelemetry-exporter-otlp-proto-common==1.26.0"}},
	{name: "older grpc exporter", install: []string{"opentelemetry-exporter-otlp-proto-grpc==1.26.0"}},
	{name: "older http exporter", install: []string{"opentelemetry-exporter-otlp-proto-http==1.26.0"}},
	{name: "older exporters", install: []string{"opentelemetry-exporter-otlp-proto-grpc==1.26.0", "opentelemetry-exporter-otlp-proto-http==1.26.0",
		"opentelemetry-exporter-otlp-proto-common==1.26.0", "opentelemetry-proto==1.26.0"}},
	{name: "one release older sdk", install: []string{"opentelemetry-sdk==1.40.0"}},
	{name: "whole of an older release", flagged: true, install: []string{"protobuf==6.33.5", "importlib-metadata==8.7.0", "zipp==3.23.0", "opentelemetry-api==1.39.1", "opentelemetry-sdk==1.39.1", "opentelemetry-proto==1.39.1",
		"opentelemetry-semantic-conventions==0.60b1", "opentelemetry-exporter-otlp==1.39.1", "opentelemetry-exporter-otlp-proto-common==1.39.1",
		"opentelemetry-exporter-otlp-proto-grpc==1.39.1", "opentelemetry-exporter-otlp-proto-http==1.39.1"},
		gone: []string{dist("opentelemetry_exporter_otlp_common"), exporters + "common", dist("opentelemetry_exporter_http_transport"), "opentelemetry/exporter/http"}},
	{name: "older protobuf", install: []string{"protobuf==4.25.8"}},
	// Metadata that is damaged, files that are there.
	{name: "sdk without metadata", gone: []string{dist("opentelemetry_sdk")}},
	{name: "api without metadata", gone: []string{dist("opentelemetry_api")}},
	{name: "otlp common without metadata", gone: []string{dist("opentelemetry_exporter_otlp_common")}},
	{name: "METADATA of the sdk empty", empty: []string{dist("opentelemetry_sdk") + "/METADATA"}},
	{name: "METADATA of the grpc exporter gone", gone: []string{dist("opentelemetry_exporter_otlp_proto_grpc") + "/METADATA"}},
	{name: "entry points of the api gone", gone: []string{dist("opentelemetry_api") + "/entry_points.txt"}},
	// Files that are damaged, metadata that is there.
	{name: "files of the sdk gone", gone: []string{"opentelemetry/sdk"}},
	{name: "files of otlp common gone", gone: []string{exporters + "common"}},
	{name: "files of the http transport gone", gone: []string{"opentelemetry/exporter/http"}},
	{name: "only the sdk's caches left", gone: []string{"opentelemetry/sdk/*/*.py", "opentelemetry/sdk/*/*/*.py", "opentelemetry/sdk/*/*/*/*.py"}},
}

// own are the entries of site-packages that a clone has for itself; the others are links.
var own = regexp.MustCompile(`^(opentelemetry|google|grpc|protobuf)`)

func flagCells() (out []cell) {
	e := newest()
	for _, d := range damages {
		name := "flag/" + d.name
		out = append(out, cell{name: name, short: d.short, engine: e, run: func(ctx context.Context, b *bench) outcome {
			return b.survives(ctx, name, e, d)
		}})
	}
	return out
}

// clone makes a virtual environment that differs from an engine's in its OpenTelemetry only.
func (b *bench) clone(ctx context.Context, e engine, d damage) (python string, err error) {
	from, to := b.at(e.version), filepath.Join(b.scratch, "clone")
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	sites, err := filepath.Glob(from + "/lib/python3*/site-packages")
	if err != nil || len(sites) != 1 {
		return "", fmt.Errorf("%s has %d site-packages: %w", from, len(sites), err)
	}
	site := to + strings.TrimPrefix(sites[0], from)
	if err := os.MkdirAll(site, 0o755); err != nil { //nolint:gosec // nothing secret
		return "", err
	}
	entries, err := os.ReadDir(sites[0])
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		source, target := filepath.Join(sites[0], entry.Name()), filepath.Join(site, entry.Name())
		if own.MatchString(entry.Name()) && entry.IsDir() {
			err = os.CopyFS(target, os.DirFS(source))
		} else {
			err = os.Symlink(source, target)
		}
		if err != nil {
			return "", err
		}
	}
	python = filepath.Join(to, "bin", "python")
	program, err := filepath.EvalSymlinks(b.python(e))
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(python), 0o755), os.Symlink(program, python)); err != nil { //nolint:gosec // nothing secret
		return "", err
	}
	config, err := os.ReadFile(filepath.Join(from, "pyvenv.cfg"))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(to, "pyvenv.cfg"), config, 0o600); err != nil {
		return "", err
	}
	return python, b.hurt(ctx, python, site, d)
}

// hurt does the damage. Files are replaced, not written to: installed ones are links into uv's cache.
func (b *bench) hurt(ctx context.Context, python, site string, d damage) error {
	if len(d.install) > 0 {
		if err := b.uv(ctx, append([]string{"pip", "install", "--quiet", "--no-deps", "--python", python}, d.install...)...); err != nil {
			return err
		}
	}
	for i, pattern := range append(d.gone, d.empty...) {
		found, err := filepath.Glob(filepath.Join(site, pattern))
		if err != nil || len(found) == 0 {
			return errors.Join(err, fmt.Errorf("%s is not there to be damaged", pattern))
		}
		for _, name := range found {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
			if i >= len(d.gone) {
				if err := os.WriteFile(name, nil, 0o600); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// survives starts a server from a damaged installation, sends a request that is to be traced, and wants an answer to this
// and the next.
func (b *bench) survives(ctx context.Context, name string, e engine, d damage) (o outcome) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	python, err := b.clone(ctx, e, d)
	if err != nil {
		return failed(err)
	}
	p, err := b.pod(e, shapes[0], "good")
	if err != nil {
		return failed(err)
	}
	p.command[0] = python
	t, err := b.wrapped(ctx, name, p, true)
	if err != nil {
		return failed(err)
	}
	if err := t.awaitReady(ctx); err != nil {
		return failed(err)
	}
	o.own = t.readyAt.Sub(t.began)
	flagged := b.given(t.server)
	o.note = map[bool]string{true: "with the flag", false: "without"}[flagged]
	if d.flagged && !flagged {
		o.fault("the flag was withheld")
	}
	for range 2 {
		if err := t.complete(b.model("good")); err != nil {
			o.fault("%v", err)
			return o
		}
	}
	if flagged {
		request, ok := t.collector.WaitSpan(toldWithin, "llm_request")
		if !ok {
			o.fault("no span of a request")
		} else if service, uid := fmt.Sprint(request.Resource["service.name"]), request.Resource["k8s.pod.uid"]; uid == nil || strings.HasPrefix(service, "unknown") {
			o.fault("a request's span is of service %s, pod %v", service, uid)
		}
	}
	if err := t.ask("/health", nil); err != nil || t.exitedAlready() {
		o.fault("dead after its first requests: %v", err)
	}
	o.nested(t.collector.Spans())
	return o
}

// nested holds vLLM's spans of its loading to the start's trace: they are part of it, inside their parents, or do not come.
// Those of requests are traces of their own.
func (o *outcome) nested(spans []otlptest.Span) {
	var (
		whole otlptest.Span
		byID  = map[string]otlptest.Span{}
		own   int
	)
	for _, s := range spans {
		byID[s.ID] = s
		if s.Name == startup.SpanStartup {
			whole = s
		}
	}
	for _, s := range spans {
		if s.Resource["service.name"] != "vllm" || s.Name == "llm_request" {
			continue
		}
		own++
		parent, known := byID[s.ParentID]
		switch {
		case s.TraceID != whole.TraceID:
			o.fault("%s is of no start's trace", s.Name)
		case !known:
			o.fault("%s has no parent", s.Name)
		case s.Start.Before(parent.Start) || s.End.After(parent.End):
			o.fault("%s is outside of %s by %s, %s", s.Name, parent.Name, parent.Start.Sub(s.Start), s.End.Sub(parent.End))
		}
	}
	o.note = fmt.Sprintf("%s, %d spans of loading", o.note, own)
}

// given tells whether a server's processes have the flag.
func (b *bench) given(s *server) bool {
	for _, pid := range append(descendants(s.cmd.Process.Pid), s.cmd.Process.Pid) {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), startup.VLLMTracesFlag+"=") {
			return true
		}
	}
	return false
}
