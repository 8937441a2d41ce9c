// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Target is the container whose log is read, as its pod's spec has it.
type Target struct {
	Namespace, Pod, Container string

	Command string // what it runs, as far as the spec says
	Role    startup.Role
	Engine  *recipe.Recipe // that the command starts; nil: the log shows
	Probed  bool           // the kubelet asks it whether it serves
}

// TargetOf is the pod's container that the identity names; false: it has none of that name.
func TargetOf(p *corev1.Pod, id endpoint.Identity) (Target, bool) {
	c := containerOf(p, id.Container)
	if c == nil {
		return Target{}, false
	}
	t := Target{
		Namespace: p.Namespace, Pod: p.Name, Container: id.Container, Role: id.Role,
		Command: strings.Join(append(slices.Clone(c.Command), c.Args...), " "),
		Probed:  c.ReadinessProbe != nil || c.StartupProbe != nil,
	}
	if id.Command.Engine != "" {
		t.Engine = recipe.ByName(id.Engine)
	}
	return t, true
}

// containerOf is the container or init container of that name; nil: the pod has none.
func containerOf(p *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		if i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == name }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

// Runs are the runs of the container that its pod's spans tell of.
func (t *Target) Runs(outside []pod.Span, facts *pod.Facts) []container.Run {
	var runs []container.Run
	for i := range outside {
		if outside[i].Name == startup.SpanPodReady {
			runs = append(runs, t.run(&outside[i], facts))
		}
	}
	return runs
}

func (t *Target) run(sp *pod.Span, facts *pod.Facts) container.Run {
	run := container.Run{
		Begin:   container.Begin{At: sp.Start, Role: t.Role, Attempt: int(max(1, sp.Get(startup.AttrAttempt).AsInt64())), Engine: t.Engine},
		Command: t.Command, Probed: t.Probed,
		StartedBy: source(sp, startup.AttrTimeSourceStart), EndedBy: source(sp, startup.AttrTimeSourceEnd),
	}
	switch exit, at, ended := facts.Ended(t.Container, run.Attempt); {
	case sp.Open:
	case sp.Failure == "" && (!ended || !sp.End.Equal(at)):
		run.Ready = sp.End
	case ended:
		run.Ended, run.Exit = sp.End, recipe.Exit{Code: exit}
		if sp.Failure == reasonOutOfMemory { // which no exit code and, of a process that was killed, no line says
			run.Reason = sp.Failure
		}
	default:
		run.Ended, run.Reason = sp.End, sp.Failure // nobody saw how
	}
	return run
}

// reasonOutOfMemory is the container runtime's for a container of which the kernel killed a process for want of memory.
const reasonOutOfMemory = "OOMKilled"

// source is where an edge of a span comes from.
func source(sp *pod.Span, edge string) startup.TimeSource {
	return startup.TimeSource(cmp.Or(sp.Get(edge).AsString(), sp.Get(startup.AttrTimeSource).AsString()))
}
