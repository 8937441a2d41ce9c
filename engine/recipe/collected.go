// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"encoding/json"
)

// collected undoes what a container runtime does to the lines of a log that was taken from the node's disk: containerd
// writes "DATE stdout F line", Docker {"log":"line\n","stream":"stdout","time":"DATE"}. Both cut long lines. Each line
// comes back behind its date, as kubectl logs --timestamps prints it; any other log comes back as it is.
func collected(log []byte) []byte {
	first := bytes.TrimLeft(log, " \t\r\n")
	unwrap := containerd
	if _, ok := containerd(firstLine(first)); !ok {
		if _, ok = docker(firstLine(first)); !ok {
			return log
		}
		unwrap = docker
	}
	out := make([]byte, 0, len(log))
	cut := map[string][]byte{} // by stream: what of a line has come
	for len(log) > 0 {
		line := firstLine(log)
		log = log[min(len(line)+1, len(log)):]
		e, ok := unwrap(bytes.TrimRight(line, "\r"))
		if !ok {
			out = append(append(out, line...), '\n')
			continue
		}
		whole := cut[e.stream]
		if whole == nil {
			whole = append(append(whole, e.date...), ' ')
		}
		whole = append(whole, e.text...)
		if e.partial && len(whole) < maxLine {
			cut[e.stream] = whole
			continue
		}
		out = append(append(out, whole...), '\n')
		delete(cut, e.stream)
	}
	for _, rest := range cut {
		out = append(append(out, rest...), '\n')
	}
	return out
}

// entry is one of a runtime's lines.
type entry struct {
	date, stream, text string
	partial            bool
}

func firstLine(log []byte) []byte {
	if end := bytes.IndexByte(log, '\n'); end >= 0 {
		return log[:end]
	}
	return log
}

func containerd(line []byte) (entry, bool) {
	if !shaped(line, "0000-00-00T00:00:00") {
		return entry{}, false
	}
	date, rest, ok := bytes.Cut(line, []byte(" "))
	stream, rest, ok2 := bytes.Cut(rest, []byte(" "))
	tag, text, _ := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || string(stream) != "stdout" && string(stream) != "stderr" || len(tag) == 0 || tag[0] != 'F' && tag[0] != 'P' {
		return entry{}, false
	}
	return entry{date: string(date), stream: string(stream), text: string(text), partial: tag[0] == 'P'}, true
}

func docker(line []byte) (entry, bool) {
	if !bytes.HasPrefix(line, []byte(`{"log":`)) {
		return entry{}, false
	}
	var e struct{ Log, Stream, Time string }
	if err := json.Unmarshal(line, &e); err != nil || e.Stream == "" {
		return entry{}, false
	}
	text := bytes.TrimRight([]byte(e.Log), "\n")
	return entry{date: e.Time, stream: e.Stream, text: string(text), partial: len(text) == len(e.Log)}, true
}
