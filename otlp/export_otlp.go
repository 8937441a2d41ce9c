// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// The exporters' own retries are off: Queue retries, with bounds of its own, and a caller of ExportSpans asked for one
// attempt. Their TLS settings are off too, the connection has them; with some, they refuse an endpoint in plain text.
// Headers and compression they read from the environment themselves.

func newSpanClient(t target, c *connection, timeout time.Duration) otlptrace.Client {
	if t.protocol == ProtocolHTTP {
		return otlptracehttp.NewClient(
			otlptracehttp.WithEndpointURL(t.url.String()),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
			otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
			otlptracehttp.WithTLSClientConfig(nil),
			otlptracehttp.WithHTTPClient(c.http),
			otlptracehttp.WithTimeout(timeout),
			otlptracehttp.WithMaxResponseSize(maxAnswer),
		)
	}
	return otlptracegrpc.NewClient(
		otlptracegrpc.WithGRPCConn(c.grpc),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}),
		otlptracegrpc.WithTimeout(timeout),
	)
}

func newMetricExporter(ctx context.Context, t target, c *connection, timeout time.Duration) (sdkmetric.Exporter, error) {
	if t.protocol == ProtocolHTTP {
		return otlpmetrichttp.New(ctx,
			otlpmetrichttp.WithEndpointURL(t.url.String()),
			otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}),
			otlpmetrichttp.WithTLSClientConfig(nil),
			otlpmetrichttp.WithHTTPClient(c.http),
			otlpmetrichttp.WithTimeout(timeout),
			otlpmetrichttp.WithMaxResponseSize(maxAnswer),
		)
	}
	return otlpmetricgrpc.New(ctx,
		otlpmetricgrpc.WithGRPCConn(c.grpc),
		otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}),
		otlpmetricgrpc.WithTimeout(timeout),
	)
}
