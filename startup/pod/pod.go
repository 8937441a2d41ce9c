// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod adds what one version of the pod tells. Seen is when the observer saw it; it matters only for what the pod has no
// time of its own for, the removal of scheduling gates.
func (f *Facts) Pod(p *corev1.Pod, seen time.Time) {
	f.UID, f.Namespace, f.Name = string(p.UID), p.Namespace, p.Name
	f.created.earliest(stamp(p.CreationTimestamp))
	if p.Spec.NodeName != "" {
		f.Node = intern(p.Spec.NodeName)
	}
	f.gates(p, seen)
	if t := p.DeletionTimestamp; t != nil {
		at := stamp(*t)
		if p.DeletionGracePeriodSeconds != nil {
			at -= nanos(*p.DeletionGracePeriodSeconds) * second
		}
		f.deleted.earliest(at)
	}
	if f.containers == nil {
		f.spec(&p.Spec)
	}
	for i := range p.Status.Conditions {
		f.condition(&p.Status.Conditions[i])
	}
	for i := range p.Status.InitContainerStatuses {
		f.status(&p.Status.InitContainerStatuses[i])
	}
	for i := range p.Status.ContainerStatuses {
		f.status(&p.Status.ContainerStatuses[i])
	}
	f.end(p)
}

// Gone adds that the pod no longer exists.
func (f *Facts) Gone(seen time.Time) { f.gone.earliest(nanos(seen.UnixNano())) }

func (f *Facts) gates(p *corev1.Pod, seen time.Time) {
	if len(p.Spec.SchedulingGates) > 0 {
		f.gated = true
		return
	}
	// Whoever saw the gates sees them gone; the time is kept in any case, since versions may come in any order.
	if p.Spec.NodeName == "" {
		f.ungated.earliest(nanos(seen.UnixNano()))
	}
}

func (f *Facts) condition(c *corev1.PodCondition) {
	at := stamp(c.LastTransitionTime)
	if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
		f.gated = true
	}
	if c.Status != corev1.ConditionTrue {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
			f.unscheduled |= whyUnschedulable(c.Message)
		}
		return
	}
	for i, gate := range f.readyGates {
		if string(c.Type) == gate && i < 32 {
			f.readyGated |= 1 << i
		}
	}
	switch c.Type {
	case corev1.PodScheduled:
		f.scheduled.earliest(at)
	case corev1.PodReadyToStartContainers:
		f.sandbox.earliest(at)
	case corev1.PodInitialized:
		f.initialized.earliest(at)
	case corev1.PodReady:
		f.ready.earliest(at)
	case corev1.DisruptionTarget:
		f.disruption = intern(c.Reason)
	}
}

func (f *Facts) spec(s *corev1.PodSpec) {
	f.containers = make([]container, 0, len(s.InitContainers)+len(s.Containers))
	for i := range s.InitContainers {
		c := &s.InitContainers[i]
		r := classInit
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			r = classSidecar
		}
		f.containers = append(f.containers, container{name: intern(c.Name), class: r})
	}
	for i := range s.Containers {
		c := container{name: intern(s.Containers[i].Name)}
		if s.Containers[i].ReadinessProbe != nil || s.Containers[i].StartupProbe != nil {
			c.traits = traitProbed
		}
		f.containers = append(f.containers, c)
	}
	for _, gate := range s.ReadinessGates {
		f.readyGates = append(f.readyGates, intern(string(gate.ConditionType)))
	}
	switch s.RestartPolicy {
	case corev1.RestartPolicyNever:
		f.policy = restartNever
	case corev1.RestartPolicyOnFailure:
		f.policy = restartOnFailure
	}
	f.grace = defaultGrace
	if g := s.TerminationGracePeriodSeconds; g != nil {
		f.grace = nanos(*g) * second
	}
	for i := range s.Volumes {
		if v := s.Volumes[i].Image; v != nil {
			f.volumes = append(f.volumes, imageVolume{intern(s.Volumes[i].Name), intern(v.Reference)})
		}
	}
}

// defaultGrace is what Kubernetes gives a container to end if the pod does not say.
const defaultGrace = 30 * second

func (f *Facts) status(s *corev1.ContainerStatus) {
	i := f.container(s.Name)
	if i < 0 {
		return // an ephemeral container, or one that was never in the spec
	}
	c := &f.containers[i]
	if w := s.State.Waiting; w != nil {
		run := s.RestartCount + 1
		if s.LastTerminationState.Terminated != nil {
			run++ // the count is that of the newest container there is: see below
		}
		c.waits.add(run, w.Reason, w.Message)
	}
	if s.Started != nil && *s.Started {
		c.traits |= traitStarted
	}
	if s.Ready {
		c.traits |= traitReady
	}
	if w := s.LastTerminationState.Terminated; w != nil {
		// The count is that of the newest container there is. While a restart is awaited that is the one that ended.
		number := s.RestartCount
		if s.State.Waiting != nil {
			number++
		}
		c.ended(number, w)
	}
	if r := s.State.Running; r != nil {
		c.attempt(s.RestartCount + 1).started.earliest(stamp(r.StartedAt))
	}
	if t := s.State.Terminated; t != nil {
		c.ended(s.RestartCount+1, t)
	}
}

func (c *container) ended(number int32, t *corev1.ContainerStateTerminated) {
	if number < 1 || t.Reason == "ContainerStatusUnknown" && stamp(t.StartedAt) == 0 {
		return // the kubelet's words for a container of a deleted pod that never ran
	}
	a := c.attempt(number)
	a.started.earliest(stamp(t.StartedAt))
	a.finished.earliest(stamp(t.FinishedAt))
	a.ended, a.exit, a.reason = true, t.ExitCode, intern(t.Reason)
	if CouldNotStart(t.Reason) { // else the message is the container's own
		a.causes |= cause(t.Message)
	}
}

// CouldNotStart says whether a container that ended or waits with the reason never ran: what its message says is the runtime's.
func CouldNotStart(reason string) bool {
	return reason == "StartError" || reason == "ContainerCannotRun" || reason == "RunContainerError"
}

func (f *Facts) end(p *corev1.Pod) {
	if p.Status.Phase != corev1.PodFailed && p.Status.Phase != corev1.PodSucceeded {
		return
	}
	f.failed = p.Status.Phase == corev1.PodFailed
	f.reason = intern(p.Status.Reason)
	var at nanos
	for i := range f.containers {
		for _, a := range f.containers[i].attempts {
			at = max(at, a.finished)
		}
	}
	if at == 0 { // no container ever ran: rejected by the kubelet, evicted before
		for _, c := range p.Status.Conditions {
			at = max(at, stamp(c.LastTransitionTime))
		}
	}
	f.terminal.earliest(max(at, f.created))
}

// stamp is the time as nanos. Year 1 and the runtime's 1970 mean unknown.
func stamp(t metav1.Time) nanos {
	if t.IsZero() || t.Unix() <= 0 {
		return 0
	}
	return nanos(t.UnixNano())
}

// intern copies a string out of the decoded object that it would keep alive; equal strings are one.
func intern(s string) string { return unique.Make(s).Value() }
