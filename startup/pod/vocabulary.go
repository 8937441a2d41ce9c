// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"regexp"
	"strings"
)

// vocabulary are typed words for what others put in texts of theirs, and how it is put. A word's position is its bit in a set of
// them. Of several that match the first is meant: it tells most.
type vocabulary []struct {
	name string
	text *regexp.Regexp
}

// find is the set of the one word for a text, empty if there is none.
func (v vocabulary) find(text string) uint32 {
	for i, w := range v {
		if w.text.MatchString(text) {
			return 1 << i
		}
	}
	return 0
}

func (v vocabulary) names(set uint32) []string {
	var out []string
	for i, w := range v {
		if set&(1<<i) != 0 {
			out = append(out, w.name)
		}
	}
	return out
}

// causes is a set of what the kubelet, a runtime or a registry gave as the cause of a failure: of causeTexts.
type causes uint32

var causeTexts = vocabulary{
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
	return causes(causeTexts.find(message))
}

func (c causes) first() string {
	if names := causeTexts.names(uint32(c)); len(names) > 0 { // a newer version's checkpoint may have one that is none here
		return names[0]
	}
	return ""
}

// unschedulable is a set of reasons why no node took the pod: of schedulerTexts.
type unschedulable uint32

// becauseGated is the only one of its event: the scheduler does not look further.
const becauseGated unschedulable = 1

// schedulerTexts are the reasons and how the scheduler's plugins put them in a clause.
var schedulerTexts = vocabulary{
	{"scheduling_gated", regexp.MustCompile(`scheduling gates`)},
	{"pvc_missing", regexp.MustCompile(`(?i)persistentvolumeclaim "[^"]*" not found`)},
	{"pvc_unbound", regexp.MustCompile(`(?i)unbound immediate persistentvolumeclaim|waiting for .*(provision|bind)`)},
	{"volume_zone", regexp.MustCompile(`(?i)volume node affinity conflict|no available volume zone`)},
	{"insufficient_gpu", regexp.MustCompile(`Insufficient \S*(gpu|mig-|neuron|gaudi|tpu|xe\b|i915)|cannot allocate all claims|resourceclaim`)},
	{"insufficient_cpu", regexp.MustCompile(`Insufficient cpu`)},
	{"insufficient_memory", regexp.MustCompile(`Insufficient memory`)},
	{"insufficient_storage", regexp.MustCompile(`Insufficient ephemeral-storage`)},
	{"too_many_pods", regexp.MustCompile(`Too many pods`)},
	{"taints", regexp.MustCompile(`untolerated taint|had taint`)},
	{"node_affinity", regexp.MustCompile(`node affinity|node selector|node\(s\) didn't match Pod's node`)},
	{"pod_affinity", regexp.MustCompile(`pod affinity|pod anti-affinity|inter-pod`)},
	{"topology_spread", regexp.MustCompile(`topology spread`)},
	{"volume", regexp.MustCompile(`[Vv]olume|persistentvolumeclaim`)},
	{"quota", regexp.MustCompile(`quota`)},
	{"host_ports", regexp.MustCompile(`free ports`)},
	{"node_unschedulable", regexp.MustCompile(`were unschedulable|node\(s\) were not ready`)},
	{"no_nodes", regexp.MustCompile(`^0/0 nodes|no nodes available`)},
}

// preemption is the scheduler's second sentence, about nodes where evicting other pods would not help.
var preemption = regexp.MustCompile(`\.? preemption: .*$`)

func whyUnschedulable(message string) unschedulable {
	message = preemption.ReplaceAllString(message, "")
	var why unschedulable
	for clause := range strings.SplitSeq(message, ", ") {
		why |= unschedulable(schedulerTexts.find(clause))
	}
	return why
}

// names are the reasons in words; "other" for a text that no entry knows.
func (u unschedulable) names() []string {
	if names := schedulerTexts.names(uint32(u)); len(names) > 0 {
		return names
	}
	return []string{"other"}
}
