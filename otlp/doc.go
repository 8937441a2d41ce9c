// SPDX-License-Identifier: Apache-2.0

// Package otlp is the way of spans and measurements to an OTLP endpoint: the exporter that the environment configures, the
// bounded queue before it, and what an answer means for what is owed.
package otlp
