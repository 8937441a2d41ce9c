// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"encoding/json"
	"slices"

	"github.com/coldtrace/coldtrace/config"
)

// Inside is who tells what happens inside of the container: one source for each start.
type Inside string

// Sources of what happens inside.
const (
	InsideWrapper Inside = "wrapper"
	InsideLog     Inside = "log"
	InsideBoth    Inside = "both" // the log for comparing, under keys of its own
	InsideNobody  Inside = "nobody"
)

// InsideOf says who tells, and why: the wrapper where it is in, else the log where that is wanted and may be read.
func InsideOf(logs config.Logs, wrapped, mayRead bool) (Inside, Reason) {
	switch {
	case wrapped && logs == config.LogsAlways && mayRead:
		return InsideBoth, ReasonLogsAlways
	case wrapped:
		return InsideWrapper, ReasonWrapperTells
	case logs == config.LogsOff:
		return InsideNobody, ReasonLogsOff
	case !mayRead:
		return InsideNobody, ReasonLogsForbidden
	}
	return InsideLog, ReasonLogTells
}

// Wrapped tells whether the decision on the pod says that the wrapper is in.
func Wrapped(annotations map[string]string) bool {
	var d Decision
	return json.Unmarshal([]byte(annotations[config.StatusAnnotation]), &d) == nil && slices.Contains(d.Features, FeatureWrapper)
}
