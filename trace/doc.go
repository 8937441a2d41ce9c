// SPDX-License-Identifier: Apache-2.0

// Package trace reads spans from OTLP JSON, as the OpenTelemetry Collector's file exporter writes it, and from the
// answers of Tempo and Jaeger, puts each start's spans into a tree and draws it: as a waterfall for a terminal, or as
// one HTML page.
//
// It is pure: bytes in, text out. It knows the names of package startup, and copes with spans it has never heard of.
package trace
