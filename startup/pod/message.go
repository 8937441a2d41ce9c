// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// aggregation is what client-go's recorder puts in front of a text when an object got many events that differ only in it.
const aggregation = "(combined from similar events): "

// text is what an event says, whether or not the recorder combined it with others.
func text(e *corev1.Event) string { return strings.TrimPrefix(e.Message, aggregation) }

// probe is one of a container's.
type probe uint8

// probes are the kubelet's words for them, and ours.
var probes = [...]string{1: "startup", 2: "liveness", 3: "readiness"}

// probeTexts are how the kubelet tells that a probe failed, and that it ends a container for that.
var probeTexts = map[kind]*regexp.Regexp{
	kindProbeFailed: regexp.MustCompile(`^(?i)(startup|liveness|readiness) probe (?:failed|errored)`),
	kindProbeKill:   regexp.MustCompile(`failed (startup|liveness) probe`),
}

func (k kind) probe(said string) probe {
	m := probeTexts[k].FindStringSubmatch(said)
	if m == nil {
		return 0
	}
	return probe(slices.Index(probes[:], strings.ToLower(m[1]))) //nolint:gosec // few
}

// pullFailure is the beginning of the kubelet's text; what the registry answered follows it.
var pullFailure = regexp.MustCompile(`^Failed to pull image "[^"]*"`)

// Needed is the part of an event's text that the timeline reads, and whether it reads the event at all. What a registry
// or a program said is never in it.
func Needed(e *corev1.Event) (said string, ok bool) {
	switch kinds[e.Reason] {
	case kindNone:
		return "", false
	case kindPulling, kindPulled, kindUnschedulable:
		return text(e), true
	case kindPullFailed:
		said = pullFailure.FindString(text(e))
		return strings.TrimSpace(said + ": " + Cause(text(e))), said != ""
	case kindVolumeFailed:
		return Cause(text(e)), true
	case kindProbeKill, kindProbeFailed:
		said = probeTexts[kinds[e.Reason]].FindString(text(e))
		return said, said != ""
	}
	return "", true
}

// containerOf reads spec.containers{NAME} and spec.initContainers{NAME}. The name is not always in the message.
func containerOf(fieldPath string) string {
	_, name, ok := strings.Cut(fieldPath, "{")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, "}")
}

// pulledText is what the kubelet has said since 1.17, in three generations:
//
//	Successfully pulled image "x" in 5.87s
//	Successfully pulled image "x" in 80ms (5.2s including waiting)
//	Successfully pulled image "x" in 80ms (5.2s including waiting). Image size: 4942111 bytes.
var pulledText = regexp.MustCompile(
	`^Successfully pulled image .* in ([0-9.hmµns]+?)(?: \(([0-9.hmµns]+) including waiting\))?\.?(?: Image size: ([0-9]+) bytes\.?)?$`)

// pulled reads how long a pull took, how long with the wait for other pulls, and the image's size in bytes. What is not
// said is 0.
func pulled(message string) (pull, waiting nanos, size int64) {
	m := pulledText.FindStringSubmatch(message)
	if m == nil {
		return 0, 0, 0
	}
	pull, waiting = duration(m[1]), duration(m[2])
	size, _ = strconv.ParseInt(m[3], 10, 64) // digits, or nothing
	return pull, max(waiting, pull), size
}

func duration(s string) nanos {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0
	}
	return nanos(d)
}
