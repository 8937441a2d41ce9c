// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// beside reads what happened in another container than the one that serves, such as an init container that downloads. Facts are as
// if it were the target. What it did is told under keys of its own, as parts of the span that tells how long it ran:
//
//	pod_startup
//	├─ init_container fetch
//	│  └─ s5cmd_download fetch
func (r *Reader) beside(ctx context.Context, p *corev1.Pod, id endpoint.Identity, facts *pod.Facts, s *Start) {
	id.Container = r.Container // which need be none that could serve
	t, ok := podlog.TargetOf(p, id)
	if !ok {
		s.lacks(Missing{"there is no container " + r.Container + " in " + p.Name, "there are " + strings.Join(containers(p), ", ")})
		return
	}
	if slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == t.Container && c.RestartPolicy == nil }) {
		t.Role = startup.RoleBatch // it is done when it ends
	}
	r.attempts(ctx, &t, t.Runs(facts.Build(r.Now(), 0).Spans, facts), s)
	s.Inside = slices.DeleteFunc(s.Inside, func(sp pod.Span) bool { return sp.Name == startup.SpanStartup })
	for i := range s.Inside {
		s.beside(&s.Inside[i], t.Container)
	}
}

func (s *Start) beside(sp *pod.Span, of string) {
	run := int(max(1, sp.Get(startup.AttrAttempt).AsInt64()))
	if sp.ParentKey != startup.Key(startup.SpanStartup, "", run) {
		sp.ParentKey = of + "/" + sp.ParentKey
	} else if sp.ParentKey = startup.Key(startup.SpanInitContainer, of, run); !slices.ContainsFunc(s.Outside, func(o pod.Span) bool { return o.Key == sp.ParentKey }) {
		sp.ParentKey = startup.Key(startup.SpanPodStartup, "", 1)
	}
	sp.Key = of + "/" + sp.Key
	sp.Attributes = append(slices.Clip(sp.Attributes), attribute.String(startup.AttrContainerName, of))
}

func containers(p *corev1.Pod) (names []string) {
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			names = append(names, list[i].Name)
		}
	}
	return names
}
