// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// download is a program that downloads, with the processes that work for it.
type download struct {
	tool  *tool
	proc  *Process
	parts []*Process
	key   string // empty while it runs
	files int64
	among bool // others of its tool ran beside it: whose files are told is not known
	error bool // the tool complained
}

// lastWords is how late the last words of a tool may be read: its end is seen sooner, and so is the one that follows it.
const lastWords = 50 * time.Millisecond

// line takes what the tool may have said.
func (d *download) line(text []byte) {
	said := func(what string) bool { return what != "" && bytes.HasPrefix(text, []byte(what)) }
	switch {
	case said(d.tool.object):
		d.files++
	case said(d.tool.complaint):
		d.error = true
	}
}

// moved is how many bytes were written, to files and pipes alike: the kernel does not count what recv(2) reads, and curl
// reads with it. It adds a child's figures to its parent's when it is reaped.
func (d *download) moved() int64 {
	var parts int64
	for _, p := range d.parts {
		parts += p.IO.Written
	}
	return max(d.proc.IO.Written, parts)
}

// downloads takes a download that begins.
func (s *Story) downloads(d *download) {
	for _, other := range s.loads {
		if other.tool == d.tool {
			d.among, other.among = true, true
		}
	}
	s.loads[d.proc.PID] = d
}

// downloadSaid gives a line to the downloads that may have said it: those that run, or the one that ended a moment ago.
func (s *Story) downloadSaid(at time.Time, text []byte) {
	var last *download
	if n := len(s.ended); n > 0 {
		last = s.ended[n-1]
	}
	for _, d := range s.loads {
		if last != nil && last.tool == d.tool {
			if at.Sub(d.proc.Start) < lastWords {
				continue
			}
			last = nil
		}
		d.line(text)
	}
	if last != nil {
		last.line(text)
	}
}

// downloaded takes a download that has ended. What follows it may be told sooner than it is, and is numbered behind it.
// One that moved nothing worth mentioning is forgotten.
func (s *Story) downloaded(d *download) (worth bool) {
	delete(s.loads, d.proc.PID)
	if d.tool.minor && d.moved() < 1<<20 && d.proc.End.Sub(d.proc.Start) < time.Second {
		return false
	}
	d.key = s.numbered(d.tool.span)
	s.ended = append(s.ended, d)
	return true
}

// loading are the downloads that go on, in the order of their begin.
func (s *Story) loading() []*download {
	return slices.SortedFunc(maps.Values(s.loads), func(a, b *download) int {
		return cmp.Or(a.proc.Start.Compare(b.proc.Start), cmp.Compare(a.proc.PID, b.proc.PID))
	})
}

// sayDownload tells a download that has ended.
func (s *Story) sayDownload(d *download, failure startup.Reason) {
	if failure == "" && d.error {
		failure = startup.ReasonDownloadFailed
	}
	sp := s.spanOf(d.key, d.tool.span, d.proc.Start, d.proc.End, failure)
	sp.Attributes = append(sp.Attributes, attribute.String(startup.AttrTool, d.tool.name))
	if moved := d.moved(); moved > 0 {
		sp.Attributes = append(sp.Attributes, attribute.Int64(startup.AttrBytes, moved))
		if t := sp.Duration().Seconds(); t > 0 {
			sp.Attributes = append(sp.Attributes, attribute.Float64(startup.AttrThroughputMBps, float64(moved)/1e6/t))
		}
	}
	if d.files > 0 && !d.among {
		sp.Attributes = append(sp.Attributes, attribute.Int64(startup.AttrFiles, d.files))
	}
	s.say(sp)
}

// flushDownloads tells the downloads that have ended.
func (s *Story) flushDownloads() {
	for _, d := range s.ended {
		s.sayDownload(d, "")
	}
	s.ended = nil
}
