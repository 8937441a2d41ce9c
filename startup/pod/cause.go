// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"regexp"
	"strings"
)

// causes is a set of what the kubelet, a runtime or a registry gave as the cause of a failure. Position in causeTexts is
// the bit.
type causes uint32

// causeTexts are the typed words for a cause, and how it is put. Of several that match the first is meant: it tells most.
var causeTexts = []struct {
	name string
	text *regexp.Regexp
}{
	// CreateContainerConfigError, FailedMount: which object, or which key of it, is missing.
	{"configmap_key_missing", regexp.MustCompile(`(?i)couldn't find key \S+ in configmap|configmap references non-existent config key`)},
	{"secret_key_missing", regexp.MustCompile(`(?i)couldn't find key \S+ in secret|secret references non-existent secret key`)},
	{"configmap_missing", regexp.MustCompile(`(?i)configmaps? "[^"]*" not found`)},
	{"secret_missing", regexp.MustCompile(`(?i)secrets? "[^"]*" not found`)},
	{"pvc_missing", regexp.MustCompile(`(?i)persistentvolumeclaim "[^"]*" not found`)},
	{"service_account_missing", regexp.MustCompile(`(?i)serviceaccounts? "[^"]*" not found`)},
	{"must_not_run_as_root", regexp.MustCompile(`runAsNonRoot`)},
	// CreateContainerError, RunContainerError, StartError: what the runtime could not do.
	{"command_not_found", regexp.MustCompile(`executable file not found|exec: .*: no such file or directory|exec .*: no such file or directory`)},
	{"command_not_executable", regexp.MustCompile(`exec: .*: permission denied|exec format error|is a directory`)},
	{"no_command", regexp.MustCompile(`(?i)no command specified`)},
	{"gpu_runtime", regexp.MustCompile(`nvidia-container|unresolvable CDI|libnvidia|could not select device|failed to initialize NVML`)},
	{"memory_limit_too_low", regexp.MustCompile(`memory limit too low|container init was OOM-killed|init process.*killed`)},
	// ErrImagePull: what the registry, or the way to it, said.
	{"rate_limited", regexp.MustCompile(`(?i)toomanyrequests|too many requests|rate limit|pull QPS exceeded`)},
	{"unauthorized", regexp.MustCompile(`(?i)unauthori[sz]ed|unauthenticated|authentication required|denied|forbidden|no basic auth|anonymous token|authorization failed|insufficient_scope`)},
	{"wrong_platform", regexp.MustCompile(`(?i)no match for platform|no matching manifest`)},
	{"not_found", regexp.MustCompile(`(?i)not found|notfound|manifest unknown|name unknown|repository name not known|does not exist`)},
	{"disk_full", regexp.MustCompile(`(?i)no space left|disk quota exceeded`)},
	{"untrusted_registry", regexp.MustCompile(`(?i)x509|certificate|server gave HTTP response to HTTPS client`)},
	{"registry_unreachable", regexp.MustCompile(`(?i)no such host|dial tcp|i/o timeout|connection re(fused|set)|network is unreachable|handshake timeout|deadline exceeded|client\.timeout|unexpected EOF|server misbehaving`)},
	{"registry_error", regexp.MustCompile(`(?i)internal server error|bad gateway|service unavailable|gateway timeout`)},
	{"bad_image", regexp.MustCompile(`(?i)invalid reference format|failed to extract|unexpected media type|unsupported|size validation|digest mismatch`)},
}

// Cause is the typed word for what a message says, empty if it is none that is known. It knows its own words again, so
// that a capture can hold them in place of the message.
func Cause(message string) string { return cause(message).first() }

func cause(message string) causes {
	if message == "" {
		return 0
	}
	word := message[strings.LastIndexByte(message, ' ')+1:]
	for i, c := range causeTexts {
		if word == c.name {
			return 1 << i
		}
	}
	for i, c := range causeTexts {
		if c.text.MatchString(message) {
			return 1 << i
		}
	}
	return 0
}

func (c causes) first() string {
	for i := range causeTexts {
		if c&(1<<i) != 0 {
			return causeTexts[i].name
		}
	}
	return ""
}
