// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Part is the members of a group that have the same owner, which is how one making of the group is told from the next.
type Part struct {
	Name       string
	Generation string
	First      time.Time // when the first of its pods was created
	Leads      bool      // it is the owner of the rest
	leaders    []leader
	done       bool // with it, as generations were told
}

type leader struct{ uid, name string }

// ID stands for the part of the group in a namespace, wherever it must be known again.
func (p Part) ID(namespace, key string) [16]byte {
	sum := sha256.Sum256([]byte(namespace + "\x00" + key + "\x00" + p.Name + "\x00" + p.Generation))
	return [16]byte(sum[:16])
}

// PartOf is the part that a member is of.
func PartOf(m *Member) Part {
	p := Part{Name: m.Group.Part, Generation: m.Group.Generation, First: m.Created, Leads: m.Group.Leads(m.UID)}
	if m.Group.Role == startup.GroupLeader {
		p.leaders = []leader{{m.UID, m.Name}}
	}
	return p
}

func (p Part) is(other Part) bool { return p.Name == other.Name && p.Generation == other.Generation }

// generation is one making of a group: a part of each name, as they were created after each other.
type generation struct {
	parts   []Part
	members []*Member
	done    bool // it was told, or was over before anybody watched
}

// generations sorts members, and the parts that are done with, into the makings of their group, the oldest first.
//
//	of a LeaderWorkerSet:   leader₁  workers₁            leader₂  workers₂
//	of two cliques:         prefill₁ decode₁   decode₂   prefill₂
//
// A leader that owns its workers came before them. Else a part that is there already begins the next making. The API tells the second
// in which a pod was created: of parts of the same one, what is done with came before what goes on.
func generations(members []*Member, done []Part) []*generation {
	parts := slices.Clone(done)
	for i := range parts {
		parts[i].done = true
	}
	for _, m := range members {
		p := PartOf(m)
		i := slices.IndexFunc(parts, p.is)
		if i < 0 {
			parts = append(parts, p)
			continue
		}
		if p.First.Before(parts[i].First) {
			parts[i].First = p.First
		}
		if !slices.ContainsFunc(parts[i].leaders, func(l leader) bool { return l.uid == m.UID }) {
			parts[i].leaders = append(slices.Clone(parts[i].leaders), p.leaders...)
		}
	}
	later := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	slices.SortFunc(parts, func(a, b Part) int {
		return cmp.Or(a.First.Compare(b.First), later(!a.done)-later(!b.done), later(!a.Leads)-later(!b.Leads),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Generation, b.Generation))
	})
	var out []*generation
	for _, p := range parts {
		if len(out) == 0 || p.Leads || slices.ContainsFunc(out[len(out)-1].parts, func(o Part) bool { return o.Name == p.Name }) {
			out = append(out, &generation{})
		}
		g := out[len(out)-1]
		g.parts = append(g.parts, p)
		g.done = g.done || p.done
	}
	for _, m := range members {
		p := PartOf(m)
		i := slices.IndexFunc(out, func(g *generation) bool { return slices.ContainsFunc(g.parts, p.is) })
		out[i].members = append(out[i].members, m)
	}
	return out
}
