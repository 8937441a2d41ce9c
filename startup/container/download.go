// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
)

// download is a program that downloads, with the processes that work for it.
type download struct {
	tool  *tool
	proc  *Process
	parts []*Process
	files int64
	error bool // the tool complained
}

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

// flushDownloads tells the downloads that have ended, and Ray. Those that did not matter are forgotten.
func (s *Story) flushDownloads() {
	if s.ray != nil && !s.ray.end.IsZero() && !s.ray.told {
		s.sayRay("")
	}
	for _, d := range s.ended {
		s.say(s.download(d, "")...)
	}
	s.ended = nil
}
