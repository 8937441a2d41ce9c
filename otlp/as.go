// SPDX-License-Identifier: Apache-2.0

package otlp

// As is the exporter under another service.name. Both send on the same connections, which the first one closes.
func (e *Exporter) As(service string) *Exporter {
	as := *e
	as.cfg.Service = service
	as.meters = metricResource(as.cfg)
	return &as
}
