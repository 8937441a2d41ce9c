// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// ExportRecorded makes one attempt to send spans that an SDK recorded, as they are. Nil means that the receiver accepted them.
func (e *Exporter) ExportRecorded(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(ctx, e.spansBound)
	defer cancel()
	if err := accepted(e.spans.ExportSpans(ctx, spans)); err != nil {
		return fmt.Errorf("export %d recorded spans: %w", len(spans), err)
	}
	return nil
}
