// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup"
)

// kind is what an event says. The order is that of worth: when there are too many, the last kinds go first.
type kind uint8

const (
	kindNone kind = iota
	kindScheduled
	kindPulling
	kindPulled
	kindCached // Pulled, of an image that was there
	kindCreated
	kindStarted
	kindScaleUp // the cluster autoscaler adds a node for the pod, or Karpenter has nominated one
	kindPullFailed
	kindPreempted
	kindNoScaleUp
	kindVolumeAttached
	kindVolumeFailed
	kindSandboxFailed
	kindProbeKill   // a container is told to end because of a probe
	kindProbeFailed // not yet
	kindUnschedulable
)

// event is what one Event object says. A repetition moves its count and last time; name and first time stay.
type event struct {
	key       uint64 // of its name
	kind      kind
	source    source // of first
	container int8   // index, -1: none
	volume    int8   // index of an image volume, -1: none
	why       unschedulable
	causes    causes
	probe     probe
	count     int32
	first     nanos
	last      nanos // whole seconds
	pull      nanos // Pulled: how long, truncated to milliseconds
	waiting   nanos // Pulled: how long with the wait for other pulls
	size      int64 // Pulled: bytes
}

// source is how precise a time is, the best first.
type source uint8

const (
	byEventName source = iota
	byEventTime
	byLog
	byMessage
	byStatus
)

// sources has, for each source, its name and its precision in seconds. An event's name has nanoseconds, but the kubelet
// writes it some tenths of a millisecond after the fact.
var sources = [...]struct {
	name      startup.TimeSource
	precision float64
}{
	byEventName: {startup.TimeEventName, 1e-3},
	byEventTime: {startup.TimeEventTime, 1e-6},
	byLog:       {startup.TimeLog, 1e-3},
	byMessage:   {startup.TimeMessageDuration, 1e-3},
	byStatus:    {startup.TimeStatus, 1},
}

// kinds maps reasons of events; what "Failed" is about is in its message.
var kinds = map[string]kind{
	"Scheduled":                     kindScheduled,
	"FailedScheduling":              kindUnschedulable,
	"TriggeredScaleUp":              kindScaleUp,
	"Nominated":                     kindScaleUp,
	"NotTriggerScaleUp":             kindNoScaleUp,
	"Preempted":                     kindPreempted,
	"Pulling":                       kindPulling,
	"Pulled":                        kindPulled,
	"Created":                       kindCreated,
	"Started":                       kindStarted,
	"Failed":                        kindPullFailed,
	"SuccessfulAttachVolume":        kindVolumeAttached,
	"FailedAttachVolume":            kindVolumeFailed,
	"FailedMount":                   kindVolumeFailed,
	"FailedCreatePodSandBox":        kindSandboxFailed,
	"FailedCreatePodSandbox":        kindSandboxFailed,
	"FailedPodSandBoxStatus":        kindSandboxFailed,
	"Killing":                       kindProbeKill,
	"Unhealthy":                     kindProbeFailed,
	"NetworkNotReady":               kindSandboxFailed,
	"FailedPrepareDynamicResources": kindSandboxFailed,
}

// EventFields leave the server what is not about pods, and what status tells as well. A probe that fails again and again is
// kept: the kubelet writes at most 25 events of a pod at once, then one in five minutes.
const EventFields = "involvedObject.kind=Pod,reason!=BackOff"

// Event adds what one event of the pod tells and reports whether that was new. The pod's containers must be known
// for an event of a container to count, so add a version of the pod first.
func (f *Facts) Event(e *corev1.Event) bool {
	fact, ok := f.distil(e)
	if !ok {
		return false
	}
	i := slices.IndexFunc(f.events, func(old event) bool { return old.key == fact.key })
	if i >= 0 {
		old := &f.events[i]
		if fact.count <= old.count && fact.last <= old.last {
			return false
		}
		old.count, old.last = max(old.count, fact.count), max(old.last, fact.last)
		return true
	}
	at, _ := slices.BinarySearchFunc(f.events, fact, order)
	f.events = slices.Insert(f.events, at, fact)
	if len(f.events) > maxEvents {
		f.evict()
	}
	return true
}

// order sorts by time; ties have an order too, so that the order of arrival has no effect.
func order(a, b event) int {
	return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.kind, b.kind), cmp.Compare(a.key, b.key))
}

// evict drops the latest event of the least worthy kind.
func (f *Facts) evict() {
	least := 0
	for i := range f.events {
		if f.events[i].kind >= f.events[least].kind {
			least = i
		}
	}
	f.events = slices.Delete(f.events, least, least+1)
}

func (f *Facts) distil(e *corev1.Event) (event, bool) {
	k, said := kinds[e.Reason], text(e)
	fact := event{kind: k, container: -1, volume: -1, count: max(e.Count, 1)}
	fact.first, fact.source = firstSeen(e)
	if k == kindNone || fact.first == 0 {
		return event{}, false
	}
	fact.last = stamp(e.LastTimestamp)
	if s := e.Series; s != nil {
		fact.count, fact.last = s.Count, nanos(s.LastObservedTime.UnixNano())
	}
	if name := containerOf(e.InvolvedObject.FieldPath); name != "" {
		fact.container = int8(f.container(name)) //nolint:gosec // a pod has few containers
		if fact.container < 0 {
			return event{}, false
		}
	}
	switch k {
	case kindPulled:
		if strings.Contains(said, "already present on machine") {
			fact.kind = kindCached
		} else {
			fact.pull, fact.waiting, fact.size = pulled(said)
		}
		fact.volume = f.imageVolume(said)
	case kindPulling:
		fact.volume = f.imageVolume(said)
	case kindPullFailed:
		// "Failed" is also said of containers that could not be created or started; their status tells of those.
		if !strings.HasPrefix(said, "Failed to pull image") {
			return event{}, false
		}
		fact.volume, fact.causes = f.imageVolume(said), cause(said)
	case kindVolumeFailed:
		fact.causes = cause(said)
	case kindProbeKill, kindProbeFailed:
		// "Killing" is also said of containers that end with their pod.
		if fact.probe = k.probe(said); fact.probe == 0 {
			return event{}, false
		}
	case kindUnschedulable:
		fact.why = whyUnschedulable(said)
		f.gated = f.gated || fact.why == becauseGated
	case kindPreempted:
		if e.InvolvedObject.UID != "" && string(e.InvolvedObject.UID) != f.UID {
			return event{}, false
		}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Name))
	fact.key = h.Sum64()
	return fact, true
}

// imageVolume is the index of the image volume that a message is about. Only events without a container are.
func (f *Facts) imageVolume(message string) int8 {
	for i, v := range f.volumes {
		if strings.Contains(message, strconv.Quote(v.image)) {
			return int8(i) //nolint:gosec // a pod has few image volumes
		}
	}
	return -1
}

// firstSeen is when an event first happened. client-go's recorder names events OBJECT.HEX, the unix time in nanoseconds,
// and writes its time with whole seconds; who names events otherwise fails the check against the written time.
func firstSeen(e *corev1.Event) (nanos, source) {
	written, src := stamp(e.FirstTimestamp), byStatus
	if t := e.EventTime; !t.IsZero() {
		written, src = nanos(t.UnixNano()), byEventTime
	}
	if i := strings.LastIndexByte(e.Name, '.'); i >= 0 && written != 0 {
		if ns, err := strconv.ParseInt(e.Name[i+1:], 16, 64); err == nil {
			if d := nanos(ns) - written; -second <= d && d <= second {
				return nanos(ns), byEventName
			}
		}
	}
	if written == 0 {
		return stamp(e.CreationTimestamp), byStatus
	}
	return written, src
}
