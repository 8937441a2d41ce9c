// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// Facts are what the header says of a trace; unknown ones are empty.
type Facts struct {
	Endpoint, Model, GPU, Engine, Pod, Namespace, Node, Image, Region, Cluster string
}

// Facts of the trace: the first value that any of its spans has.
func (t *Trace) Facts() Facts {
	f := Facts{
		Endpoint:  t.first(startup.AttrEndpointName),
		Model:     t.first(startup.AttrModelName),
		GPU:       t.first(startup.AttrGPUType),
		Engine:    strings.TrimSpace(t.first(startup.AttrEngine) + " " + t.first(startup.AttrEngineVersion)),
		Pod:       t.first(attrPodName),
		Namespace: t.first(attrPodNamespace, startup.AttrNamespace),
		Node:      t.first("k8s.node.name", startup.AttrNodeName),
		Image:     t.first(startup.AttrImageTag),
		Region:    t.first(startup.AttrRegion),
		Cluster:   t.first("k8s.cluster.name"),
	}
	if n := t.first(startup.AttrNumGPUs); n != "" {
		f.GPU = n + " × " + cmp.Or(f.GPU, "GPU")
	}
	return f
}
