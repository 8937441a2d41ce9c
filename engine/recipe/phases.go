// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// parents are the phases that others lie in; all that are not here lie in the engine's init.
var parents = map[string]string{
	startup.SpanWeightsLoad:      startup.SpanModelLoad,
	startup.SpanHFDownload:       startup.SpanModelLoad,
	startup.SpanDynamo:           startup.SpanTorchCompile,
	startup.SpanEncoderProfiling: startup.SpanMemoryProfiling,
	startup.SpanAPIServerInit:    startup.SpanServerReady,
	startup.SpanServerWarmup:     startup.SpanServerReady,
	startup.SpanLoRALoad:         startup.SpanServerReady,
}

// PartOf is the phase that one of that name lies in, if it does not lie in the engine's init or before such a phase; empty: none.
func PartOf(phase string) string { return parents[phase] }

func (r *Reader) phases(died startup.Reason, end time.Time) []startup.Span {
	s := r.start
	engine, parted := s.engineTime(), died != "" && s.partFailed()
	if parted {
		engine = time.Time{} // one of several was initialised, the engine never
	}
	init := startup.Span{Name: r.recipe.Init(), Start: cmp.Or(r.options.Start, s.first), End: engine}
	if init.Start.IsZero() {
		if len(s.order) == 0 && died == "" {
			return nil
		}
		init.Start = end // no line has a time: all that is known is how long things took
	}
	known := init.Start // from here on the log tells what is going on
	head, unheard := s.head(), false
	var out []startup.Span
	if first := s.first; !r.options.Start.IsZero() && first.After(known) && !r.recipe.native {
		if s.spoke && !s.drew && (r.working.IsZero() || !r.working.Before(first)) {
			out = append(out, startup.Span{Name: startup.SpanPythonImport, Start: known, End: first})
		} else {
			known, head, unheard = first, "", true
		}
	}
	under := "" // way, when it died
	if init.End.IsZero() {
		init.End, init.Failure = startup.Later(end, init.Start), died
		under = r.under(died, parted)
	}
	tracked := s.tracked(under, died, end)
	if now := s.stage(); died != "" && now.name == under && end.Sub(now.at) < r.noise() {
		tracked = brief(tracked, startup.Span{Name: under, Start: now.at, End: end, Failure: died})
	}
	for _, p := range tracked {
		if r.options.Start.IsZero() && p.Start.Before(init.Start) && p.Failure == "" {
			init.Start = p.Start // what the first line tells of began before it
		}
	}
	out = append(out, tracked...)
	init.End = startup.Later(init.End, init.Start) // stamps and the clock may disagree
	noise := r.noise()
	served := slices.DeleteFunc(slices.Clone(out), func(p startup.Span) bool { return parents[p.Name] != startup.SpanServerReady })
	out = slices.DeleteFunc(out, func(p startup.Span) bool { return parents[p.Name] == startup.SpanServerReady })
	// Of several engines the first was up, but their server waits for all.
	stages := slices.DeleteFunc(slices.Clone(s.stages), func(g stage) bool { return parents[g.name] == startup.SpanServerReady })
	out = named(stages, out, head, startup.Earlier(known, init.End), init.End, noise)
	if unheard { // it imported, nobody knows how long
		out = slices.DeleteFunc(out, func(p startup.Span) bool { return p.Name == startup.SpanPythonImport })
	}
	if now := s.stage().name; under != "" && (now == under || parents[now] == under) {
		for i, p := range out {
			if (p.Name == now || p.Name == under) && p.End.Equal(init.End) {
				out[i].Failure = died
			}
		}
	}
	return arranged(append(append(out, init), r.server(served, engine, died, end, noise)...), init.Name)
}

// noise is how far a line's time may be from the truth.
func (r *Reader) noise() time.Duration {
	switch {
	case !r.options.Embedded:
		return exact
	case r.clock.fine:
		return fine
	}
	return coarse
}

// tracked are the phases that lines told of, and the one that it died in, under, with what that lies in.
func (s *launch) tracked(under string, died startup.Reason, end time.Time) (out []startup.Span) {
	for _, name := range s.order {
		out = append(out, s.tracks[name].phases(name, s.draft())...)
		if o := latest(s.tracks[name].open); !o.start.IsZero() && (name == under || name == parents[under]) {
			out = s.goingOn(out, name, o, died, end)
		}
	}
	if s.fetched {
		endDownloads(out)
	}
	return out
}

// goingOn adds a phase that is open to those that are over.
func (s *launch) goingOn(out []startup.Span, name string, o opening, died startup.Reason, end time.Time) []startup.Span {
	began := s.began(name)
	if died == "" && began.After(o.noticed) {
		return out // the engine left it, nobody said when, and came back
	}
	p := startup.Span{Name: name, Start: o.start, End: startup.Later(end, o.start), Failure: died}
	if began.Before(o.start) && !began.IsZero() && !s.fetched {
		p.Start = began
	}
	if n := len(out); died == "" && n > 0 && out[n-1].Name == name && meets(&p, out[n-1]) {
		p.Start = startup.Earlier(p.Start, out[n-1].Start)
		out = out[:n-1] // of a rank that was faster
	}
	return append(out, p)
}

// endDownloads ends those that came before a load where that begins, by as much as a stamp and a length differ: they would be
// parts of it.
func endDownloads(phases []startup.Span) {
	for i := range phases {
		for _, load := range phases {
			if d := &phases[i]; d.Name == startup.SpanHFDownload && load.Name == startup.SpanModelLoad && load.Start.After(d.Start) {
				d.End = startup.Earlier(d.End, load.Start)
			}
		}
	}
}

// under is what it was doing when it died, or does where its log stops; empty: nobody knows.
func (r *Reader) under(died startup.Reason, parted bool) string {
	switch s := r.start; {
	case parted, died == "" && !r.options.Embedded: // what the others did was not what failed, and more is to come
		return ""
	case died == "" && s.lags():
		return startup.SpanModelLoad
	default:
		return s.lastOpen()
	}
}

// brief adds what it died in, where that was so short that the phase before would take it.
func brief(phases []startup.Span, p startup.Span) []startup.Span {
	if !p.End.After(p.Start) {
		return phases
	}
	for i := range phases {
		switch of := &phases[i]; {
		case of.Name != p.Name:
		case of.End.Equal(p.End):
			return phases
		case of.End.Equal(p.Start):
			of.End, of.Failure = p.End, p.Failure
			return phases
		}
	}
	return append(phases, p)
}

// lags says whether a rank still loads by its own word, though a faster one has gone on.
func (s *launch) lags() bool {
	model, weights := s.tracks[startup.SpanModelLoad], s.tracks[startup.SpanWeightsLoad]
	if model == nil || weights == nil {
		return false
	}
	for rank := range model.open {
		if last := weights.last(rank); last != nil && last.end.After(s.stage().at) {
			return true
		}
	}
	return false
}

// server is what comes after the engine is initialised, if that is known. Other phases are those that lines state.
func (r *Reader) server(stated []startup.Span, engine time.Time, died startup.Reason, end time.Time, noise time.Duration) []startup.Span {
	s := r.start
	if engine.IsZero() || s.ready.IsZero() && died == "" {
		return nil
	}
	whole := startup.Span{Name: startup.SpanServerReady, Start: engine, End: startup.Later(s.ready, engine)}
	if s.ready.IsZero() {
		whole.End, whole.Failure = startup.Later(end, engine), died
	}
	out := slices.DeleteFunc(named(s.stages, stated, "", whole.Start, whole.End, noise), func(p startup.Span) bool { return parents[p.Name] != startup.SpanServerReady })
	if r.options.Embedded {
		out = append(out, whole) // in a container health knows better
	}
	return out
}

// phases of a track: the longest over ranks, one for each time a rank went through it.
func (t *track) phases(name string, draft bool) []startup.Span {
	var longest []stretch
	for _, rank := range slices.Sorted(maps.Keys(t.stretches)) {
		for i, s := range t.stretches[rank] {
			s.attributes = maps.Clone(s.attributes)
			if i == len(longest) {
				longest = append(longest, s)
				continue
			}
			if s.longer(longest[i]) {
				s, longest[i] = longest[i], s
			}
			// The rank that closes the phase first has what the lines said of the cache, and may not be the longest.
			if cache, ok := s.attributes[attrCompileCache]; ok && longest[i].attributes[attrCompileCache] != compileMiss {
				longest[i].set(attrCompileCache, cache)
			}
		}
	}
	var out []startup.Span
	for i := range longest {
		s := &longest[i]
		if i > 0 && draft && drafted[name] {
			s.set(attrModel, "draft")
		}
		out = append(out, startup.Span{Name: name, Start: s.start, End: s.end, Attributes: startup.Attributes(s.attributes)})
	}
	return out
}

// drafted are the phases that a draft model goes through after its target.
var drafted = map[string]bool{
	startup.SpanModelLoad: true, startup.SpanWeightsLoad: true, startup.SpanHFDownload: true, startup.SpanTorchCompile: true,
	startup.SpanDynamo: true, startup.SpanMemoryProfiling: true, startup.SpanKVCacheInit: true, startup.SpanCUDAGraphCapture: true,
}

// set gives a stretch an attribute.
func (s *stretch) set(name string, value any) {
	if s.attributes == nil { // no line said how long it was
		s.attributes = map[string]any{}
	}
	s.attributes[name] = value
}

// longer decides between ranks; of equals the one that ended last.
func (s stretch) longer(than stretch) bool {
	a, b := s.end.Sub(s.start), than.end.Sub(than.start)
	return a > b || a == b && s.end.After(than.end)
}

// lastOpen is the phase that was entered last and not left.
func (s *launch) lastOpen() string {
	now := s.stage()
	name, when := now.name, now.at
	for _, phase := range s.order {
		o := latest(s.tracks[phase].open)
		if t := o.noticed; !t.IsZero() && !t.Before(when) && (s.spoke || !o.bar) {
			name, when = phase, t
		}
	}
	return name
}

// arranged sets parents and keys, keeps children within them, and puts phases in the order of their starts, parents
// first.
func arranged(phases []startup.Span, init string) []startup.Span {
	inOrder := func(i, j int) bool {
		a, b := phases[i], phases[j]
		if !a.Start.Equal(b.Start) {
			return a.Start.Before(b.Start)
		}
		return depth(a.Name, init) < depth(b.Name, init)
	}
	sort.SliceStable(phases, inOrder)
	count := map[string]int{}
	for i := range phases {
		p := &phases[i]
		count[p.Name]++
		p.Key = p.Name
		if n := count[p.Name]; n > 1 {
			p.Key = fmt.Sprintf("%s/%d", p.Name, n)
		}
	}
	longest := map[string]startup.Span{} // by name, of those that are in place
	for level := range 3 {
		for i := range phases {
			p := &phases[i]
			if depth(p.Name, init) != level {
				continue
			}
			if level > 0 && p.Name != startup.SpanServerReady {
				p.ParentKey = init
				if up, ok := holder(phases, *p); ok {
					p.ParentKey = up.Key // TGI and NIM download before they load
					fit(p, up)
				} else if parents[p.Name] == startup.SpanServerReady {
					p.ParentKey = startup.SpanServerReady // of which others tell
				} else {
					fit(p, longest[init])
				}
			}
			if l, ok := longest[p.Name]; !ok || p.End.Sub(p.Start) > l.End.Sub(l.Start) {
				longest[p.Name] = *p
			}
		}
	}
	sort.SliceStable(phases, inOrder) // some were moved
	return phases
}

func depth(name, init string) int {
	switch {
	case name == init:
		return 0
	case parents[name] == "":
		return 1
	}
	return 2
}

// holder is the phase that another one is a part of: of several, the one that it shares most with.
func holder(phases []startup.Span, p startup.Span) (startup.Span, bool) {
	var best startup.Span
	for _, up := range phases {
		if up.Name == parents[p.Name] && meets(&p, up) && (best.Name == "" || shared(p, up) > shared(p, best)) {
			best = up
		}
	}
	return best, best.Name != ""
}

func shared(a, b startup.Span) time.Duration {
	return startup.Earlier(a.End, b.End).Sub(startup.Later(a.Start, b.Start))
}

// meets says whether two phases have a time in common, not only an edge unless one of them is no more than that.
func meets(p *startup.Span, other startup.Span) bool {
	if p.End.Equal(p.Start) || other.End.Equal(other.Start) {
		return !p.Start.After(other.End) && !p.End.Before(other.Start)
	}
	return p.Start.Before(other.End) && p.End.After(other.Start)
}

// fit keeps a phase within another: by moving it where it is short enough, since a stated length is exact and a stamp
// is not.
func fit(p *startup.Span, within startup.Span) {
	length := min(p.End.Sub(p.Start), within.End.Sub(within.Start))
	if p.Start.Before(within.Start) {
		p.Start = within.Start
		p.End = p.Start.Add(length)
	}
	if p.End.After(within.End) {
		p.End = within.End
		p.Start = p.End.Add(-length)
	}
}
