// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"crypto/fips140"
	"crypto/md5" //nolint:gosec // an identifier, see package startup
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

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
		}
	}()
	added := slices.Clip(s.env)
	if !has(s.env, envGPUType) {
		if t := gpu.Type(gpu.Dir); t != "" {
			s.start.GPUType = t
			added = append(added, envGPUType+"="+t)
		}
	}
	if !slices.ContainsFunc(s.argv, func(a string) bool { return strings.Contains(a, "vllm") }) {
		return s.argv, added
	}
	s.inbox = openInbox()
	if s.inbox == nil {
		return s.argv, added
	}
	if slices.ContainsFunc(s.argv, func(a string) bool { return strings.Contains(a, "${"+envExec+":+") }) {
		if exe, err := os.Readlink("/proc/self/exe"); err == nil { // decided where the shell starts it
			added = append(added, envExec+"="+exe, envInbox+"="+s.inbox.URL, envTraceparent+"="+s.traceparent())
		}
		return s.argv, added
	}
	o := offer(added)
	o.Endpoint, o.Traceparent = s.inbox.URL, s.traceparent()
	p := vllm.Prepare(s.argv, added, o)
	if !p.Flag && !p.Load {
		s.inbox.close()
		s.inbox = nil
	}
	return p.Argv, p.Env
}

// offer is what vLLM can be given, as the environment says.
func offer(env []string) vllm.Offer {
	return vllm.Offer{
		Mode: lookup(env, envVLLMFlag), Endpoint: lookup(env, envInbox), Traceparent: lookup(env, envTraceparent),
		Sampler: lookup(env, envSampler), SamplerArg: lookup(env, envSamplerArg), Attributes: attributes(env),
	}
}

// attributes are the pod's, encoded as OTEL_RESOURCE_ATTRIBUTES is: all but what is unreserved in a URL as %XX.
func attributes(env []string) string {
	var b strings.Builder
	for _, a := range [...]struct{ key, name string }{
		{"k8s.pod.uid", envPodUID}, {"k8s.pod.name", envPodName}, {"k8s.namespace.name", envNamespace}, {"k8s.node.name", envNodeName},
		{"k8s.container.name", envContainer}, {"k8s.cluster.name", envCluster},
	} {
		value := lookup(env, a.name)
		if value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.key + "=")
		for _, c := range []byte(value) {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
				b.WriteByte(c)
			} else {
				b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
			}
		}
	}
	return b.String()
}

// InShell tells whether a shell runs this program in front of vLLM's command.
func InShell() bool { return os.Getenv(envExec) != "" }

// Become is what a shell runs in front of vLLM's command: it becomes that command, with what its installation can take.
func Become(args []string) int {
	env := environ()
	argv, given := args, env
	func() {
		defer func() {
			if recover() != nil {
				argv, given = args, env
			}
		}()
		p := vllm.Prepare(args, env, offer(env))
		argv, given = p.Argv, p.Env
	}()
	err := become(argv, given)
	if errors.Is(err, syscall.E2BIG) {
		err = become(args, env)
	}
	complain(args[0] + ": " + err.Error())
	return exitOf(err)
}

// become replaces this program by a command.
func become(argv, env []string) error {
	return execvp(argv, env, func(file string, argv []string) error { return syscall.Exec(file, argv, env) })
}

// traceparent is the span that vLLM's own spans belong to: the whole start, since vLLM goes on for a while after the line
// that ends vllm_init. It is empty, and vLLM traces no loading, where the start's trace is
// to be dropped: its spans would stay without it, since they know no sampling.priority.
func (s *supervisor) traceparent() string {
	if strings.HasPrefix(lookup(s.env, envPriority), "-") {
		return ""
	}
	uid := lookup(s.env, envPodUID)
	key := "in_container_startup"
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
