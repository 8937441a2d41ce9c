// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// reconnect keeps gRPC's pause between two attempts to connect short, its default being two minutes: a collector that
// comes up late must find us before the container ends.
func reconnect() grpc.DialOption {
	b := backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}
	return grpc.WithConnectParams(grpc.ConnectParams{Backoff: b, MinConnectTimeout: 2 * time.Second})
}

// The exporters' own retries are off: Queue retries, with bounds of its own, and a caller of ExportSpans asked for one
// attempt.

func newSpanExporter(ctx context.Context, t target, cfg ExporterConfig, timeout time.Duration) (*otlptrace.Exporter, error) {
	if t.protocol == ProtocolHTTP {
		opts := []otlptracehttp.Option{
			otlptracehttp.WithEndpointURL(t.url.String()),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
		}
		if len(cfg.Headers) > 0 {
			opts = append(opts, otlptracehttp.WithHeaders(cfg.Headers))
		}
		if timeout > 0 {
			opts = append(opts, otlptracehttp.WithTimeout(timeout))
		}
		return otlptracehttp.New(ctx, opts...)
	}
	opts := []otlptracegrpc.Option{
		otlptracegrpc.WithEndpointURL(t.url.String()),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}),
		otlptracegrpc.WithDialOption(reconnect()),
	}
	if len(cfg.Headers) > 0 {
		opts = append(opts, otlptracegrpc.WithHeaders(cfg.Headers))
	}
	if timeout > 0 {
		opts = append(opts, otlptracegrpc.WithTimeout(timeout))
	}
	return otlptracegrpc.New(ctx, opts...)
}

func newMetricExporter(ctx context.Context, t target, cfg ExporterConfig, timeout time.Duration) (sdkmetric.Exporter, error) {
	if t.protocol == ProtocolHTTP {
		opts := []otlpmetrichttp.Option{
			otlpmetrichttp.WithEndpointURL(t.url.String()),
			otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}),
		}
		if len(cfg.Headers) > 0 {
			opts = append(opts, otlpmetrichttp.WithHeaders(cfg.Headers))
		}
		if timeout > 0 {
			opts = append(opts, otlpmetrichttp.WithTimeout(timeout))
		}
		return otlpmetrichttp.New(ctx, opts...)
	}
	opts := []otlpmetricgrpc.Option{
		otlpmetricgrpc.WithEndpointURL(t.url.String()),
		otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}),
		otlpmetricgrpc.WithDialOption(reconnect()),
	}
	if len(cfg.Headers) > 0 {
		opts = append(opts, otlpmetricgrpc.WithHeaders(cfg.Headers))
	}
	if timeout > 0 {
		opts = append(opts, otlpmetricgrpc.WithTimeout(timeout))
	}
	return otlpmetricgrpc.New(ctx, opts...)
}
