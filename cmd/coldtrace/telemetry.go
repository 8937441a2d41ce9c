// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
)

// policyExporter sends to the endpoint that the policy names at the time. Without one, or with one that only a
// container's variables complete, everything is dropped: the metrics on /metrics remain.
type policyExporter struct {
	policy func() *config.Policy
	log    logr.Logger

	mu      sync.Mutex
	target  config.OTLP
	cluster string
	made    bool
	current *otlp.Exporter // nil: nowhere
}

// ExportSpans sends spans; nil means that they were accepted.
func (p *policyExporter) ExportSpans(ctx context.Context, subject startup.Subject, spans []startup.Span) error {
	e, err := p.exporter(ctx)
	if err != nil || e == nil {
		return err
	}
	return e.ExportSpans(ctx, subject, spans)
}

// ExportMeasurements sends measurements; nil means that they were accepted.
func (p *policyExporter) ExportMeasurements(ctx context.Context, ms []startup.Measurement) error {
	e, err := p.exporter(ctx)
	if err != nil || e == nil {
		return err
	}
	return e.ExportMeasurements(ctx, ms)
}

// insideExporter sends as the wrapper would, whose spans these are.
type insideExporter struct{ to *policyExporter }

// ExportSpans sends spans; nil means that they were accepted.
func (i insideExporter) ExportSpans(ctx context.Context, subject startup.Subject, spans []startup.Span) error {
	e, err := i.to.exporter(ctx)
	if err != nil || e == nil {
		return err
	}
	return e.As(startup.ServiceWrapper).ExportSpans(ctx, subject, spans)
}

// ExportMeasurements sends measurements; nil means that they were accepted.
func (i insideExporter) ExportMeasurements(ctx context.Context, ms []startup.Measurement) error {
	e, err := i.to.exporter(ctx)
	if err != nil || e == nil {
		return err
	}
	return e.As(startup.ServiceWrapper).ExportMeasurements(ctx, ms)
}

func (p *policyExporter) exporter(ctx context.Context) (*otlp.Exporter, error) {
	policy := p.policy()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made && p.target == policy.OTLP && p.cluster == policy.ClusterName {
		return p.current, nil
	}
	if policy.OTLP.Endpoint == "" || strings.Contains(policy.OTLP.Endpoint, "$(") {
		p.log.Info("The watcher has nowhere to send spans to: the policy names no OTLP endpoint, or one that only pods can complete")
		p.replace(policy, nil)
		return nil, nil
	}
	e, err := otlp.NewExporter(context.WithoutCancel(ctx), otlp.ExporterConfig{
		Endpoint:    policy.OTLP.Endpoint,
		Protocol:    string(policy.OTLP.Protocol),
		Version:     version,
		Service:     startup.ServiceWatcher,
		ClusterName: policy.ClusterName,
	})
	if err != nil {
		return nil, fmt.Errorf("make exporter: %w", err)
	}
	p.replace(policy, e)
	return e, nil
}

// replace lets what the old exporter has under way finish before it is closed.
func (p *policyExporter) replace(policy *config.Policy, e *otlp.Exporter) {
	if old := p.current; old != nil {
		time.AfterFunc(2*otlp.DefaultExportTimeout, func() {
			ctx, cancel := context.WithTimeout(context.Background(), otlp.DefaultExportTimeout)
			defer cancel()
			if err := old.Shutdown(ctx); err != nil {
				p.log.V(1).Info("The former exporter did not close", "error", err.Error())
			}
		})
	}
	p.current, p.target, p.cluster, p.made = e, policy.OTLP, policy.ClusterName, true
}
