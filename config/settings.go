// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Settings are what applies to one pod.
type Settings struct {
	Inject       string // "true", "false" or empty: the policy decides
	Container    string
	EndpointName string
	ModelName    string
	GPUType      string
	Region       string
	Engine       string
	Role         startup.Role
	HealthURL    string
	Entrypoint   []string
	Cmd          []string

	Delivery        Delivery
	OTLP            OTLP
	VLLMFlag        VLLMFlag
	RequestSampling RequestSampling
	StartupTraces   StartupTraces
	TraceID         startup.Hash
	Timeout         time.Duration
	FlushTimeout    time.Duration
	Startupz        string
	StatusFile      string
}

// SamplingPriority is the value of sampling.priority on the pod's startup spans.
func (s *Settings) SamplingPriority() int {
	if s.StartupTraces == DropStartupTraces {
		return -1
	}
	return startup.KeepPriority
}

// Warning is about one annotation that has no effect.
type Warning struct {
	Annotation string
	Text       string // for the person who wrote it; it may quote the value
}

// Settings are the policy's, then the namespace's annotations, then the pod's. What is unknown or bad is named in a
// warning; the rest applies.
func (p *Policy) Settings(namespace, pod map[string]string) (Settings, []Warning) {
	s := Settings{
		Region:          p.Region,
		Delivery:        p.Wrapper.Delivery,
		OTLP:            p.OTLP,
		VLLMFlag:        p.VLLMFlag,
		RequestSampling: p.RequestSampling,
		StartupTraces:   p.StartupTraces,
		TraceID:         p.TraceID,
		Timeout:         p.Wrapper.Timeout,
		FlushTimeout:    p.Wrapper.FlushTimeout,
		Startupz:        p.Wrapper.Startupz,
		StatusFile:      p.Wrapper.StatusFile,
	}
	warnings := s.apply(nil, "namespace", namespace)
	return s, s.apply(warnings, "pod", pod)
}

func (s *Settings) apply(warnings []Warning, whose string, annotations map[string]string) []Warning {
	warn := func(key, format string, args ...any) {
		warnings = append(warnings, Warning{key, fmt.Sprintf("coldtrace: "+whose+" annotation %q ", key) + fmt.Sprintf(format, args...)})
	}
	first := len(warnings)
	for key, value := range annotations {
		name, ours := strings.CutPrefix(key, Prefix)
		if !ours || key == StatusAnnotation {
			continue
		}
		i := slices.IndexFunc(Annotations, func(a Annotation) bool { return a.Name == name })
		switch {
		case i < 0:
			warn(key, "is unknown%s", suggestion(name))
		case Annotations[i].PodOnly && whose == "namespace":
			warn(key, "has an effect on pods only")
		default:
			before := *s
			if err := Annotations[i].set(s, value); err != nil {
				*s = before
				warn(key, "is ignored: %s", err)
			}
		}
	}
	slices.SortFunc(warnings[first:], func(a, b Warning) int { return strings.Compare(a.Text, b.Text) }) // the order of a map is random
	return warnings
}

// suggestion is the annotation that was probably meant: the nearest, if it is two typing errors away at most.
func suggestion(name string) string {
	nearest, least := "", 3
	for _, a := range Annotations {
		if d := distance(strings.ToLower(name), a.Name); d < least {
			nearest, least = a.Name, d
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", Prefix+nearest)
}

// distance is how many characters must be added, removed or replaced to make b of a.
func distance(a, b string) int {
	if len(a) > 2*len(b) {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
