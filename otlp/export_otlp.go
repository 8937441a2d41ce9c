// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/coldtrace/coldtrace/startup"
)

// The exporters' own retries are off: Queue retries, with bounds of its own, and a caller of ExportSpans asked for one
// attempt, whose context bounds it. Their TLS settings are off too, the connection has them; with some, they refuse an endpoint in
// plain text. Headers and compression they read from the environment themselves.

func newSpanClient(t target, c *connection) otlptrace.Client {
	if t.protocol == startup.ProtocolHTTP {
		return otlptracehttp.NewClient(headed(t, otlptracehttp.WithHeaders(nil),
			otlptracehttp.WithEndpointURL(t.url.String()),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
			otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
			otlptracehttp.WithTLSClientConfig(nil),
			otlptracehttp.WithHTTPClient(c.http),
			otlptracehttp.WithMaxResponseSize(maxAnswer),
		)...)
	}
	return otlptracegrpc.NewClient(headed(t, otlptracegrpc.WithHeaders(nil),
		otlptracegrpc.WithGRPCConn(c.grpc),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}),
		otlptracegrpc.WithTimeout(0),
	)...)
}

func newMetricExporter(ctx context.Context, t target, c *connection) (sdkmetric.Exporter, error) {
	if t.protocol == startup.ProtocolHTTP {
		return otlpmetrichttp.New(ctx, headed(t, otlpmetrichttp.WithHeaders(nil),
			otlpmetrichttp.WithEndpointURL(t.url.String()),
			otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}),
			otlpmetrichttp.WithTLSClientConfig(nil),
			otlpmetrichttp.WithHTTPClient(c.http),
			otlpmetrichttp.WithMaxResponseSize(maxAnswer),
		)...)
	}
	return otlpmetricgrpc.New(ctx, headed(t, otlpmetricgrpc.WithHeaders(nil),
		otlpmetricgrpc.WithGRPCConn(c.grpc),
		otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}),
		otlpmetricgrpc.WithTimeout(0),
	)...)
}

// headed adds to options that there are no headers, where the endpoint is not one that the environment knows: those there may hold
// a key.
func headed[O any](t target, none O, opts ...O) []O {
	if t.ours {
		return append(opts, none)
	}
	return opts
}
