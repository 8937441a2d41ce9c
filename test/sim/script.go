// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"time"
)

//go:embed logs/*.log
var logs embed.FS

// step is one line of a script:
//
//	[?CONDITION[,CONDITION…]] GAP STREAM TEXT     wait GAP seconds, then write TEXT ("none": write nothing)
//	[?…] @begin PHASE | @end PHASE                what is simulated from here, until here
//	[?…] @shards N GAP | @graphs N GAP LABEL      a progress bar of N steps
//	@fail POINT                                   where SIM_FAIL may strike
//	@engine-ready | @warming                      the engine is initialised; the port answers 503
//
// STREAM is out or err; with a * the line is written once for each rank. Conditions: a version (<0.18, >=0.10.1),
// compile or eager, cold or warm (SIM_COMPILE_CACHE), download (the model is not a directory). Placeholders in TEXT are listed at player.value; {{ and }}
// are braces.
type step struct {
	conditions []string
	verb       string // "" for a line
	words      []string
	gap        time.Duration
	stream     string
	text       string
}

func readScript(name string) ([]step, error) {
	raw, err := logs.ReadFile("logs/" + name + ".log")
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	var steps []step
	for n, line := range strings.Split(string(raw), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("script %s line %d: %w", name, n+1, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func parseStep(line string) (step, error) {
	var s step
	if line[0] == '?' {
		conditions, rest, _ := strings.Cut(line[1:], " ")
		s.conditions, line = strings.Split(conditions, ","), rest
	}
	if strings.HasPrefix(line, "@") {
		s.words = strings.Fields(line)
		s.verb = s.words[0][1:]
		s.words = s.words[1:]
		return s, nil
	}
	gap, rest, _ := strings.Cut(line, " ")
	seconds, err := strconv.ParseFloat(gap, 64)
	if err != nil {
		return s, fmt.Errorf("read gap: %w", err)
	}
	s.gap = time.Duration(seconds * float64(time.Second))
	s.stream, s.text, _ = strings.Cut(rest, " ")
	return s, nil
}

// applies says whether the conditions hold.
func (s step) applies(version string, facts map[string]bool) bool {
	for _, c := range s.conditions {
		switch {
		case strings.HasPrefix(c, "<"):
			if !older(version, c[1:]) {
				return false
			}
		case strings.HasPrefix(c, ">="):
			if older(version, c[2:]) {
				return false
			}
		case !facts[c]:
			return false
		}
	}
	return true
}
