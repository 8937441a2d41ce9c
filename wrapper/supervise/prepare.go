// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"crypto/fips140"
	"crypto/md5" //nolint:gosec // an identifier, see package startup
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/wrapper/attempt"
	"github.com/coldtrace/coldtrace/wrapper/gpu"
	"github.com/coldtrace/coldtrace/wrapper/vllm"
)

// prepare is the command line and environment that the command gets. Whatever goes wrong in finding more, it gets
// what it would have got.
func (s *supervisor) prepare() (argv, env []string) {
	argv, env = s.argv, s.env
	defer func() {
		if recover() != nil {
			argv, env = s.argv, s.env
			s.start.Traced = false
		}
	}()
	added := s.env
	if !slices.ContainsFunc(s.env, func(e string) bool { return strings.HasPrefix(e, envGPUType+"=") }) {
		if t := gpu.Type(gpu.Dir); t != "" {
			s.start.GPUType = t
			added = append(slices.Clone(s.env), envGPUType+"="+t)
		}
	}
	if !slices.ContainsFunc(s.argv, func(a string) bool { return strings.Contains(a, "vllm") }) {
		return s.argv, added
	}
	p := vllm.Prepare(s.argv, added, lookup(s.env, envVLLMFlag), s.traceparent())
	s.start.Traced = p.Traced
	return p.Argv, p.Env
}

// traceparent is the span that vLLM's own spans belong to; empty, and vLLM traces no loading, where the start's trace is
// to be dropped: its spans would stay without it, since they know no sampling.priority.
func (s *supervisor) traceparent() string {
	if strings.HasPrefix(lookup(s.env, envPriority), "-") {
		return ""
	}
	uid := lookup(s.env, envPodUID)
	key := "vllm_init"
	if n := attempt.Next(attempt.Dir, uid, lookup(s.env, envContainer)); n > 1 {
		key += "#" + strconv.Itoa(n)
	}
	sum := md5Sum
	switch lookup(s.env, envTraceIDHash) {
	case "", "md5":
	case "sha256":
		sum = sha256Sum
	}
	return "00-" + hex.EncodeToString(sum(uid)[:16]) + "-" + hex.EncodeToString(sum(uid + ":" + key)[:8]) + "-01"
}

func md5Sum(s string) []byte {
	var sum [md5.Size]byte
	fips140.WithoutEnforcement(func() { sum = md5.Sum([]byte(s)) }) //nolint:gosec // see the import
	return sum[:]
}

func sha256Sum(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}
