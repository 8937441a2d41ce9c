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
// Headers and compression they read from the environment themselves; headers are taken from them where the endpoint is not one
// that the environment knows: they may hold a key.

func newSpanClient(t target, c *connection, timeout time.Duration) otlptrace.Client {
	if t.protocol == ProtocolHTTP {
		opts := []otlptracehttp.Option{
			otlptracehttp.WithEndpointURL(t.url.String()),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
			otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
			otlptracehttp.WithTLSClientConfig(nil),
			otlptracehttp.WithHTTPClient(c.http),
			otlptracehttp.WithTimeout(timeout),
			otlptracehttp.WithMaxResponseSize(maxAnswer),
		}
		if t.ours {
			opts = append(opts, otlptracehttp.WithHeaders(nil))
		}
		return otlptracehttp.NewClient(opts...)
	}
	opts := []otlptracegrpc.Option{
		otlptracegrpc.WithGRPCConn(c.grpc),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}),
		otlptracegrpc.WithTimeout(timeout),
	}
	if t.ours {
		opts = append(opts, otlptracegrpc.WithHeaders(nil))
	}
	return otlptracegrpc.NewClient(opts...)
}

func newMetricExporter(ctx context.Context, t target, c *connection, timeout time.Duration) (sdkmetric.Exporter, error) {
	if t.protocol == ProtocolHTTP {
		opts := []otlpmetrichttp.Option{
			otlpmetrichttp.WithEndpointURL(t.url.String()),
			otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}),
			otlpmetrichttp.WithTLSClientConfig(nil),
			otlpmetrichttp.WithHTTPClient(c.http),
			otlpmetrichttp.WithTimeout(timeout),
			otlpmetrichttp.WithMaxResponseSize(maxAnswer),
		}
		if t.ours {
			opts = append(opts, otlpmetrichttp.WithHeaders(nil))
		}
		return otlpmetrichttp.New(ctx, opts...)
	}
	opts := []otlpmetricgrpc.Option{
		otlpmetricgrpc.WithGRPCConn(c.grpc),
		otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}),
		otlpmetricgrpc.WithTimeout(timeout),
	}
	if t.ours {
		opts = append(opts, otlpmetricgrpc.WithHeaders(nil))
	}
	return otlpmetricgrpc.New(ctx, opts...)
}
