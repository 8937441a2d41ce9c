// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/wrapper/attempt"
	"github.com/coldtrace/coldtrace/wrapper/gpu"
	"github.com/coldtrace/coldtrace/wrapper/vllm"
)

// prepare is the command line and environment that the command gets. Whatever goes wrong in finding more, it gets
// what it would have got.
func (s *supervisor) prepare() (argv []string, env startup.Environ) {
	argv, env = s.argv, s.env
	defer func() {
		if recover() != nil {
			argv, env = s.argv, s.env
		}
	}()
	added := slices.Clip(s.env)
	if !s.env.Has(startup.EnvGPUType) {
		if t := gpu.Type(gpu.Dir); t != "" {
			s.start.GPUType = t
			added = append(added, startup.EnvGPUType+"="+t)
		}
	}
	if !slices.ContainsFunc(s.argv, func(a string) bool { return strings.Contains(a, "vllm") }) {
		return s.argv, added
	}
	s.inbox = openInbox()
	if s.inbox == nil {
		return s.argv, added
	}
	if slices.ContainsFunc(s.argv, func(a string) bool { return strings.Contains(a, "${"+startup.EnvVLLMExec+":+") }) {
		// It is decided where the shell starts it.
		return s.argv, append(added, startup.EnvVLLMExec+"="+self(), envInbox+"="+s.inbox.URL, envTraceparent+"="+s.traceparent())
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
func offer(env startup.Environ) vllm.Offer {
	return vllm.Offer{
		Mode: env.Get(startup.EnvVLLMFlag), Endpoint: env.Get(envInbox), Traceparent: env.Get(envTraceparent),
		Sampler: env.Get(startup.EnvVLLMSampler), SamplerArg: env.Get(startup.EnvVLLMSamplerArg), Attributes: attributes(env),
	}
}

// attributes are the pod's, encoded as OTEL_RESOURCE_ATTRIBUTES is: all but what is unreserved in a URL as %XX.
func attributes(env startup.Environ) string {
	var out []string
	for _, a := range [...]struct{ key, name string }{
		{startup.ResourcePodUID, startup.EnvPodUID}, {startup.ResourcePodName, startup.EnvPodName}, {startup.ResourceNamespace, startup.EnvNamespace},
		{startup.ResourceNodeName, startup.EnvNodeName}, {startup.AttrContainerName, startup.EnvContainer}, {startup.ResourceCluster, startup.EnvClusterName},
	} {
		if value := env.Get(a.name); value != "" {
			out = append(out, a.key+"="+strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
		}
	}
	return strings.Join(out, ",")
}

// Become is what a shell runs in front of vLLM's command: it becomes that command, with what its installation can take.
func Become(args []string) int {
	env := environ()
	argv, given := args, []string(env)
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
	if strings.HasPrefix(s.env.Get(startup.EnvSamplePriority), "-") {
		return ""
	}
	uid, hash := s.env.Get(startup.EnvPodUID), startup.HashOf(s.env.Get(startup.EnvTraceIDHash))
	key := startup.Key(startup.SpanStartup, "", attempt.Next(attempt.Dir, uid, s.env.Get(startup.EnvContainer)))
	return "00-" + hash.TraceID(uid).String() + "-" + hash.SpanID(uid, key).String() + "-01"
}
