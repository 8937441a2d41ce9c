// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/startup"
)

// Settings are what applies to one pod: the policy, with what annotations say in its fields' place, and what annotations
// alone can say.
type Settings struct {
	Policy
	endpoint.Declared
	Inject string // "true", "false" or empty: the policy decides
}

// Variables are what the wrapper has to hear, by name: every setting that has a variable and is not the default.
func (s *Settings) Variables() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range Table {
			if t := &Table[i]; t.Env != "" && !yield(t.Env, t.text(s)) {
				return
			}
		}
	}
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
	s := Settings{Policy: *p}
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
		i := slices.IndexFunc(Table, func(t Setting) bool { return t.Annotation == name })
		switch {
		case i < 0 || name == "":
			warn(key, "is unknown%s", suggestion(name))
		case Table[i].PodOnly && whose == "namespace":
			warn(key, "has an effect on pods only")
		default:
			if err := Table[i].set(s, value); err != nil {
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
	for _, t := range Table {
		if d := distance(strings.ToLower(name), t.Annotation); t.Annotation != "" && d < least {
			nearest, least = t.Annotation, d
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
