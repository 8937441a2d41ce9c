// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"cmp"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Facts are what is known of one pod's start: a few hundred bytes, distilled from any number of pod versions and
// events. Adding a fact twice, or two facts in another order, makes no difference.
type Facts struct {
	Namespace string
	Name      string
	UID       string
	Node      string // once scheduled
	Target    string // the container whose start is traced; empty: the first

	// Times of metadata and conditions; they have whole seconds.
	created     nanos
	scheduled   nanos
	sandbox     nanos // PodReadyToStartContainers
	initialized nanos
	ready       nanos
	deleted     nanos // when deletion was asked for
	terminal    nanos // the pod is Succeeded or Failed: its last container's end, or the condition's time

	ungated nanos // when the pod was first seen without its gates: the observer's clock
	gone    nanos // when the pod was seen to be gone: the observer's clock
	served  nanos // when the target's log says that it serves

	failed     bool           // terminal, and not Succeeded
	gated      bool           // it was created with scheduling gates
	awaited    bool           // nothing probes the target, and its log is read
	unsaid     bool           // the target's log will not say when it serves
	why        startup.Reason // that the run whyOf of the target failed, by its log
	whyOf      int
	reason     string // of a failed pod: Evicted, OutOfcpu, UnexpectedAdmissionError
	disruption string // reason of the DisruptionTarget condition: PreemptionByScheduler, DeletionByTaintManager

	policy      restartPolicy
	grace       nanos         // that a container which is told to end has
	readyGates  []string      // conditions beside the containers' that Ready needs
	readyGated  uint32        // the set of them that were met
	unscheduled unschedulable // what the PodScheduled condition gave as reasons

	containers []container // init containers first, in the order of the spec
	volumes    []imageVolume
	events     []event // sorted, at most maxEvents
}

// nanos is a unix time in nanoseconds, 0 if unknown: a third of a time.Time.
type nanos int64

const second nanos = 1e9

// earliest keeps the first of two known times.
func (n *nanos) earliest(t nanos) {
	if t != 0 && (*n == 0 || t < *n) {
		*n = t
	}
}

// edge is one end of a span and how it is known.
type edge struct {
	at  nanos // 0: unknown
	src source
}

func (e edge) known() bool { return e.at != 0 }

// status is an edge from pod status or metadata.
func status(at nanos) edge { return edge{at, byStatus} }

// or is the edge if it is known, else another.
func (e edge) or(other edge) edge {
	if e.known() {
		return e
	}
	return other
}

// within tells whether an exact time is what a time with whole seconds was cut from. Events follow what they tell of by
// some milliseconds, hence a second of play.
func (n nanos) within(whole nanos) bool { return whole <= n && n < whole+2*second }

func (n nanos) time() time.Time { return time.Unix(0, int64(n)).UTC() }

func (n nanos) seconds() float64 { return time.Duration(n).Seconds() }

// class is what a container is for the start.
type class uint8

const (
	classMain    class = iota
	classInit          // runs to its end before the next one starts
	classSidecar       // an init container with restartPolicy Always
)

type container struct {
	name     string
	class    class
	traits   traits
	waits    waits
	attempts []attempt
}

// traits are what is known of a container for good once it is.
type traits uint8

const (
	traitProbed  traits = 1 << iota // a readiness or startup probe tells when it serves
	traitStarted                    // its startup probe succeeded, or it has none
	traitReady                      // it was ready once
)

func (c *container) has(t traits) bool { return c.traits&t != 0 }

// restartPolicy says what becomes of a container that ended.
type restartPolicy uint8

const (
	restartAlways restartPolicy = iota
	restartOnFailure
	restartNever
)

// restarts says whether the kubelet starts the container again after the run.
func (p restartPolicy) restarts(r class, failed bool) bool {
	switch r {
	case classSidecar:
		return true
	case classInit:
		return failed && p != restartNever
	}
	return p == restartAlways || p == restartOnFailure && failed
}

// attempt is one run of a container. Times have whole seconds.
type attempt struct {
	number   int32 // from 1
	exit     int32
	ended    bool
	causes   causes // why the runtime could not start it
	started  nanos
	finished nanos
	reason   string // of the runtime: Completed, Error, OOMKilled, StartError
}

// imageVolume is a volume whose content is an image.
type imageVolume struct{ name, image string }

func (f *Facts) container(name string) int {
	return slices.IndexFunc(f.containers, func(c container) bool { return c.name == name })
}

// attempt is the container's attempt of that number, added if it is new.
func (c *container) attempt(number int32) *attempt {
	i, found := slices.BinarySearchFunc(c.attempts, number, func(a attempt, n int32) int { return cmp.Compare(a.number, n) })
	if !found {
		// The middle of a long crash loop says nothing that its begin and its end don't.
		if len(c.attempts) >= maxAttempts {
			c.attempts = slices.Delete(c.attempts, maxAttempts/2, maxAttempts/2+1)
			if i > maxAttempts/2 {
				i--
			}
		}
		c.attempts = slices.Insert(c.attempts, i, attempt{number: number})
	}
	return &c.attempts[i]
}

// Bounds per pod.
const (
	maxAttempts = 16
	maxEvents   = 64
)

// waits are every reason for which a container was seen to wait before its newest run, and their causes. Of earlier runs
// not everybody has seen them.
type waits struct {
	run     int32 // its number
	reasons waiting
	causes  causes
}

func (w *waits) add(run int32, reason, message string) {
	if run > w.run {
		*w = waits{run: run}
	}
	if run == w.run {
		w.reasons.add(reason)
		w.causes |= cause(message)
	}
}

func (w *waits) of(r *run) waiting {
	if r.number != int(w.run) {
		return 0
	}
	return w.reasons
}

func (w *waits) causesOf(r *run) causes {
	if r.number != int(w.run) {
		return 0
	}
	return w.causes
}

// waiting is a set of reasons for which containers wait.
type waiting uint16

// The kubelet's words for why a container waits, the most telling first.
var (
	imageReasons = []startup.Reason{
		"InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed",
		imagePullBackOff, errImagePull,
	}
	createReasons = []startup.Reason{"CreateContainerConfigError", "CreateContainerError", "PreCreateHookError", "PreStartHookError"}
	waitReasons   = slices.Concat(imageReasons, createReasons, []startup.Reason{"PostStartHookError", "RunContainerError", "CrashLoopBackOff"})
)

const (
	imagePullBackOff = "ImagePullBackOff"
	errImagePull     = "ErrImagePull"
)

// NoImage says whether a container that waits with the reason has not got its image.
func NoImage(reason string) bool { return slices.Contains(imageReasons, startup.Reason(reason)) }

// NotCreated says whether a container that waits with the reason could not be set up; its message says what was in the way.
func NotCreated(reason string) bool { return slices.Contains(createReasons, startup.Reason(reason)) }

func (w *waiting) add(reason string) {
	if i := slices.Index(waitReasons, startup.Reason(reason)); i >= 0 {
		*w |= 1 << i
	}
}

// worst is the most telling reason, among those of pulling an image or among the others.
func (w waiting) worst(pull bool) startup.Reason {
	for i, reason := range waitReasons {
		if w&(1<<i) != 0 && (i < len(imageReasons)) == pull {
			return reason
		}
	}
	return ""
}
