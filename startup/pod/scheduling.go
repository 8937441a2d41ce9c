// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"regexp"
	"strings"
)

// unschedulable is a set of reasons why no node took the pod.
type unschedulable uint32

// becauseGated is the only one of its event: the scheduler does not look further.
const becauseGated unschedulable = 1

// schedulerTexts are the reasons and how the scheduler's plugins put them. The position is the bit; of several that match
// a clause the first is meant.
var schedulerTexts = []struct {
	name string
	text *regexp.Regexp
}{
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
		for i, r := range schedulerTexts {
			if r.text.MatchString(clause) {
				why |= 1 << i
				break
			}
		}
	}
	return why
}

// names are the reasons in words; "other" for a text that no entry knows.
func (u unschedulable) names() []string {
	var out []string
	for i, r := range schedulerTexts {
		if u&(1<<i) != 0 {
			out = append(out, r.name)
		}
	}
	if out == nil {
		return []string{"other"}
	}
	return out
}
