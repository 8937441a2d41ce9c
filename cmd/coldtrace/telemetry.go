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
	of      *config.Policy // that current is made for; nil: none is made
	current *otlp.Exporter // nil: nowhere
}

// exporter is the one that sends there now; nil: there is nowhere to send to.
func (p *policyExporter) exporter(ctx context.Context) (*otlp.Exporter, error) {
	policy := p.policy()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of != nil && p.of.OTLP == policy.OTLP && p.of.ClusterName == policy.ClusterName {
		return p.current, nil
	}
	if policy.OTLP.Endpoint == "" || strings.Contains(policy.OTLP.Endpoint, "$(") {
		p.log.Info("The watcher has nowhere to send spans to: the policy names no OTLP endpoint, or one that only pods can complete")
		p.replace(policy, nil)
		return nil, nil
	}
	e, err := newExporter(context.WithoutCancel(ctx), policy)
	if err != nil {
		return nil, fmt.Errorf("make exporter: %w", err)
	}
	p.replace(policy, e)
	return e, nil
}

// newExporter sends where a policy says, as the watcher.
func newExporter(ctx context.Context, policy *config.Policy) (*otlp.Exporter, error) {
	return otlp.NewExporter(ctx, otlp.ExporterConfig{
		Endpoint: policy.OTLP.Endpoint, Protocol: policy.OTLP.Protocol, Version: version,
		Service: startup.ServiceWatcher, ClusterName: policy.ClusterName,
	})
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
	p.current, p.of = e, policy
}
