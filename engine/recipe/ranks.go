// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"maps"
	"strings"
)

// A rank is what a process calls itself in the prefix of its lines: "EngineCore_DP1 pid=200", "Worker_TP0 pid=97", "TP0".
// The name without the process's id is what it is called in another start, too.

// nameOf is a rank's name, and whether it is one of several: it has a number.
func nameOf(rank string) (name string, numbered bool) {
	name, _, _ = strings.Cut(rank, " pid=")
	return name, strings.ContainsAny(name, "0123456789")
}

// hasPID says whether a process gives its name and its id: whoever started it does not.
func hasPID(rank []byte) bool { return bytes.Contains(rank, []byte("pid=")) }

// siblings says whether two ranks are different ones of a kind: EngineCore_DP0 and EngineCore_DP1.
func siblings(a, b string) bool {
	first, ok := nameOf(a)
	second, ok2 := nameOf(b)
	return ok && ok2 && first != second && kindOf(first) == kindOf(second)
}

func kindOf(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, name)
}

// apiServer says whether a process is the API server, which vLLM names "APIServer pid=1", or "ApiServer_0 pid=1" where
// there are several.
func apiServer(rank string) bool {
	const name = "apiserver"
	return len(rank) >= len(name) && strings.EqualFold(rank[:len(name)], name)
}

// saidBy says whether a line is of whom a rule is about. A server that introduced itself without a name can't be told from
// others.
func (s *launch) saidBy(whom, rank string, before []byte) bool {
	switch whom {
	case "server":
		return !apiServer(s.server) || apiServer(rank)
	case "api_server":
		return apiServer(rank)
	case "core":
		return strings.HasPrefix(rank, "EngineCore")
	case "nobody": // but whoever started it
		return !hasPID([]byte(rank))
	case "container": // docker compose, of the one whose lines are the engine's
		before = bytes.TrimRight(before, " ")
		return s.container == "" || len(before) == 0 || string(before[bytes.LastIndexByte(before, ' ')+1:]) == s.container
	}
	return true
}

// meet takes note of a process.
func (s *launch) meet(rank []byte) {
	if bytes.Equal(rank, s.met) {
		return
	}
	s.met = append(s.met[:0], rank...)
	if !bytes.ContainsAny(rank, "0123456789") || len(s.servers) >= maxRanks {
		return
	}
	if _, numbered := nameOf(string(rank)); numbered && apiServer(string(rank)) {
		s.servers[string(rank)] = true
	}
}

// serves takes a server's word that it is up, and reports whether all are: a start with several is ready with the last.
func (s *launch) serves(rank string) bool {
	if len(s.serving) < maxRanks {
		s.serving[rank]++
	}
	return s.unserved() == 0
}

// unserved is how many API servers are known that have not said yet that they serve. Those that don't give their names
// are counted by their lines.
func (s *launch) unserved() int {
	known := max(len(s.servers), int(s.expected["servers"]))
	if known < 2 {
		return 0
	}
	up := s.serving[""]
	for rank := range maps.Keys(s.serving) {
		if rank != "" {
			up++
		}
	}
	return max(0, known-up)
}

// another says whether a rank that introduces its engine is one more of the start that is going on: an engine of
// another number has been heard of already.
func (s *launch) another(rank string) bool {
	for known := range maps.Keys(s.engines) {
		if siblings(known, rank) {
			return true
		}
	}
	for _, f := range s.failures {
		if siblings(f.rank, rank) {
			return true
		}
	}
	return false
}

// followed says whether an engine that introduces itself comes after this one, in a program without a server.
func (s *launch) followed(rank string) bool {
	return !s.engineTime().IsZero() && !s.passed(markLaunch) && !s.partsMissing() && !s.engines[rank] && !s.another(rank)
}

// partsMissing says whether an engine is known that has not said yet that it is initialised.
func (s *launch) partsMissing() bool {
	for rank := range s.engines {
		if rank != "" && !s.parts[rank] {
			return true
		}
	}
	return len(s.parts) < int(s.expected["engines"])
}

// partFailed says whether one of several engines has failed, and never said that it is initialised as another has.
func (s *launch) partFailed() bool {
	for _, f := range s.failures {
		for rank := range s.parts {
			if f.class > interrupted && !s.parts[f.rank] && siblings(rank, f.rank) {
				return true
			}
		}
	}
	return false
}

// rankWithin is the rank that a line in JSON states, as TGI's spans and loggers with a process's id do.
func rankWithin(text []byte) string {
	for _, key := range [...]string{`"rank":`, `"process":`, `"pid":`} {
		if _, after, ok := bytes.Cut(text, []byte(key)); ok {
			after = bytes.TrimLeft(after, " ")
			end := 0
			for end < len(after) && isDigit(after[end]) {
				end++
			}
			if end > 0 {
				return key + string(after[:end])
			}
		}
	}
	return ""
}
