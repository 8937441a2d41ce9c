// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"

	"github.com/coldtrace/coldtrace/startup"
)

// download is a program that downloads, with the processes that work for it.
type download struct {
	tool  *tool
	proc  *Process
	parts []*Process
	files int64
	error bool // the tool complained
}

// What s5cmd says.
var (
	s5cmdObject = []byte("cp s3://")
	s5cmdError  = []byte(`ERROR "`)
)

// line takes what the tool may have said.
func (d *download) line(text []byte) {
	switch {
	case d.tool.span != startup.SpanS5cmdDownload:
	case bytes.HasPrefix(text, s5cmdObject):
		d.files++
	case bytes.HasPrefix(text, s5cmdError):
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
