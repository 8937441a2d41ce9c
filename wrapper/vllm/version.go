// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"strconv"
	"strings"
)

// version is a release, and whether it is one before it (1.2.3rc1, 1.2.3.dev4+gabc).
type version struct {
	number [3]int
	pre    bool
}

// parseVersion reads a version as pip writes it: 0.10.1.1, 0.6.6.post1, 0.11.0rc2, 0.11.1.dev8+gdeadbee.cu129.
func parseVersion(s string) (version, bool) {
	s, _, _ = strings.Cut(s, "+")
	var v version
	for i, part := range strings.Split(s, ".") {
		digits := len(part) - len(strings.TrimLeft(part, "0123456789"))
		if tail := part[digits:]; tail != "" && !strings.HasPrefix(tail, "post") {
			v.pre = true
		}
		if digits == 0 {
			if i == 0 {
				return version{}, false
			}
			break
		}
		if i < len(v.number) {
			n, err := strconv.Atoi(part[:digits])
			if err != nil {
				return version{}, false
			}
			v.number[i] = n
		}
		if digits < len(part) {
			break
		}
	}
	if strings.Contains(s, "dev") {
		v.pre = true
	}
	return v, true
}

// since tells whether the version is the release 0.minor.patch or later; what came before it is not.
func (v version) since(minor, patch int) bool {
	for i, n := range [3]int{0, minor, patch} {
		if v.number[i] != n {
			return v.number[i] > n
		}
	}
	return !v.pre
}

// flagWorks tells whether request tracing can be asked for without harm. 0.8.0 to 0.10.1 fall back to the old engine
// for it, or refuse to start; before 0.5.1 the flag is unknown. (vllm#4687, vllm#20372)
func (v version) flagWorks() bool {
	return v.since(5, 1) && v.number[0] == 0 && v.number[1] < 8 || v.since(10, 2)
}

// tracesLoading tells whether vLLM has spans of its own for its start. (vllm#31162)
func (v version) tracesLoading() bool { return v.since(16, 0) }

// needs are the modules that tracing imports, so that it does not die of one that is missing: some are looked for when
// arguments are checked, the exporter only when the first span is about to leave.
func (v version) needs(protocol string) []string {
	grpc := []string{
		"opentelemetry.exporter.otlp.proto.grpc.trace_exporter", "opentelemetry.exporter.otlp.proto.common", "opentelemetry.proto",
		"grpc", "google.protobuf", "google.rpc",
	}
	http := []string{
		"opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.exporter.otlp.proto.common", "opentelemetry.proto",
		"google.protobuf", "requests",
	}
	out := []string{"opentelemetry.trace", "opentelemetry.sdk", "opentelemetry.semconv"}
	if v.number[0] == 0 && v.number[1] < 7 {
		out = append(out, "opentelemetry.semconv.ai")
	}
	switch {
	case v.since(16, 0) || v.number[1] >= 16 || v.number[0] > 0: // imports both, whichever it uses
		out = append(append(out, grpc...), http...)
	case protocol == "http/protobuf":
		out = append(out, http...)
	default:
		out = append(out, grpc...)
	}
	return out
}
