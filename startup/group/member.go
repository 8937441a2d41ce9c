// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Member is what a group needs to know of the start of one of its pods.
type Member struct {
	UID       string        `json:"uid"`
	Name      string        `json:"name"`
	Namespace string        `json:"ns"`
	Group     startup.Group `json:"group"`
	Endpoint  string        `json:"endpoint,omitempty"`
	Model     string        `json:"model,omitempty"`
	GPU       string        `json:"gpu,omitempty"`
	Untraced  bool          `json:"untraced,omitempty"`  // it is no endpoint by itself: a head without a GPU
	Unwatched bool          `json:"unwatched,omitempty"` // its start was over long before anybody watched
	Sampled   bool          `json:"sampled,omitempty"`   // somebody may find its spans
	Hash      startup.Hash  `json:"hash,omitempty"`
	Timeout   time.Duration `json:"timeout,omitempty"` // after which its start is given up

	Created time.Time      `json:"created,omitzero"`
	Running time.Time      `json:"running,omitzero"`  // the last run of its container began
	Ended   time.Time      `json:"ended,omitzero"`    // its start did; zero: it goes on
	Outcome string         `json:"outcome,omitempty"` // of its start
	Failure startup.Reason `json:"failure,omitempty"`
	Took    [took]int64    `json:"took"`           // nanoseconds in each of phases
	Gone    bool           `json:"gone,omitempty"` // the pod no longer exists
}

// phases are what a member's time is divided into: spans of the watcher. The time of attempts that failed counts as the
// waiting for the next.
var phases = [took]string{
	startup.SpanPodPending, startup.SpanSandboxCreating, startup.SpanImagePull, startup.SpanInitContainer,
	startup.SpanContainerCreating, startup.SpanRestartBackoff, startup.SpanPodReady,
}

const (
	took = 7 // how many there are
	// PhaseCreation stands for the time before a pod existed, in which none of its spans can be.
	PhaseCreation = "pod_creation"
)

// Of is a member before anything of its start is known but that the pod is there.
func Of(s startup.Subject, created time.Time) Member {
	return Member{
		UID: s.PodUID, Name: s.PodName, Namespace: s.Namespace, Group: s.Group,
		Endpoint: s.EndpointName, Model: s.ModelName, GPU: s.GPUType, Created: created,
		Sampled: s.SamplingPriority >= 0, Hash: s.Hash,
	}
}

// Add adds a span of the member's start. Of spans that go on only the root may be left out.
func (m *Member) Add(name string, start, end time.Time, failed bool) {
	switch name {
	case startup.SpanPodReady:
		if start.After(m.Running) {
			m.Running = start
		}
		if failed {
			name = startup.SpanRestartBackoff
		}
	case startup.SpanPodStartup:
		m.Created = start
	}
	if i := slices.Index(phases[:], name); i >= 0 {
		m.Took[i] += int64(end.Sub(start))
	}
}

// Well tells whether the member's start is over and did well.
func (m *Member) Well() bool {
	return m.Outcome == startup.OutcomeReady || m.Outcome == startup.OutcomeStarted || m.Outcome == startup.OutcomeCompleted
}

func (m *Member) over() bool { return m.Outcome != "" }

// decides tells whether the group is not ready before it is.
func (m *Member) decides() bool { return m.Group.Role != startup.GroupWorker }

// Label is what the member is called among the others: leader, worker 7, prefill 0, or its pod's name where nothing numbers it.
func (m *Member) Label() string {
	g := m.Group
	switch {
	case g.Role == startup.GroupLeader && (g.Part == "" || g.Part == string(g.Role)):
		return string(g.Role)
	case g.Index == nil:
		return m.Name
	}
	return cmp.Or(g.Part, string(g.Role)) + " " + strconv.Itoa(*g.Index)
}

// slot is the place in the group that the member fills: of two pods with the same the later one replaced the other.
func (m *Member) slot() string {
	if m.Group.Index == nil {
		return m.UID
	}
	return m.Group.Part + "/" + strconv.Itoa(*m.Group.Index)
}

// replaces tells whether the member is the later one of two in the same slot; of nil in any case.
func (m *Member) replaces(known *Member) bool {
	return known == nil || cmp.Or(m.Created.Compare(known.Created), cmp.Compare(m.UID, known.UID)) > 0
}

// lost tells whether the member failed and no slot says which pod is in its place.
func (m *Member) lost() bool { return m.Group.Index == nil && m.over() && !m.Well() }

// byPlace orders members: those that lead first, then by part and index.
func byPlace(a, b *Member) int {
	rank := func(m *Member) int {
		if m.Group.Role == startup.GroupLeader {
			return 0
		}
		return 1
	}
	index := func(m *Member) int {
		if m.Group.Index == nil {
			return 0
		}
		return *m.Group.Index
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Group.Part, b.Group.Part), cmp.Compare(index(a), index(b)),
		cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
}
