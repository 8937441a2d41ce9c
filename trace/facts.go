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
		Endpoint:  t.Value(startup.AttrEndpointName),
		Model:     t.Value(startup.AttrModelName),
		GPU:       t.Value(startup.AttrGPUType),
		Engine:    strings.TrimSpace(t.Value(startup.AttrEngine) + " " + t.Value(startup.AttrEngineVersion)),
		Pod:       t.Value(attrPodName),
		Namespace: t.Value(attrPodNamespace, startup.AttrNamespace),
		Node:      t.Value("k8s.node.name", startup.AttrNodeName),
		Image:     t.Value(startup.AttrImageTag),
		Region:    t.Value(startup.AttrRegion),
		Cluster:   t.Value("k8s.cluster.name"),
	}
	if n := t.Value(startup.AttrNumGPUs); n != "" {
		f.GPU = n + " × " + cmp.Or(f.GPU, "GPU")
	}
	return f
}
