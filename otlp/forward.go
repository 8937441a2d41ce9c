// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Forwarder passes spans on that another program made, to where an Exporter would send its own.
type Forwarder struct {
	client otlptrace.Client
	bound  time.Duration
}

// NewForwarder makes a forwarder. It does not connect.
func NewForwarder(ctx context.Context, cfg ExporterConfig) (*Forwarder, error) {
	quiet()
	t, err := tracesSignal.target(cfg)
	if err != nil {
		return nil, fmt.Errorf("find where spans go: %w", err)
	}
	c, err := tracesSignal.means(t).connect()
	if err != nil {
		return nil, fmt.Errorf("set up the connection for spans: %w", err)
	}
	f := &Forwarder{bound: tracesSignal.timeout(cfg)}
	f.client = newSpanClient(t, c, f.bound)
	if err := f.client.Start(ctx); err != nil {
		return nil, fmt.Errorf("set up the sender of spans: %w", err)
	}
	return f, nil
}

// Forward makes one attempt.
func (f *Forwarder) Forward(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, f.bound)
	defer cancel()
	return f.client.UploadTraces(ctx, spans)
}
