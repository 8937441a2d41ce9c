// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

// started is the engine that a command starts.
type started struct {
	engine  *engine.Engine
	role    startup.Role // empty unless the command tells
	program int          // the index of the command itself, behind its launchers
	token   int          // the index of the word after which an argument may go
	args    []Word       // what follows that
}

// start reads a command from its launchers on; nil: it starts no engine that is known.
func start(words []Word) *started {
	texts := textsOf(words)
	at, ok := engine.Behind(texts)
	if !ok || at >= len(words) {
		return nil
	}
	return match(words, texts, at)
}

// match reads a command that begins at an index.
func match(words []Word, texts []string, at int) *started {
	e, token := engine.Program(texts[at:])
	if e == nil {
		return nil
	}
	s := &started{engine: e, role: startup.Role(e.Role), program: at, token: at + token, args: words[at+token+1:]}
	if s.role == "" && follows(e.Called(), s.args) {
		s.role = startup.RoleWorker
	}
	return s
}

// textsOf are the words as package engine reads them.
func textsOf(words []Word) []string {
	out := make([]string, len(words))
	for i := range words {
		if w := &words[i]; w.Known {
			out[i] = w.Text
		} else {
			out[i] = w.start() + engine.Unknown
		}
	}
	return out
}

var nodeRank = []string{"--node-rank", "--node_rank"}

// follows tells any but the first node of a multi-node deployment: it serves no API.
func follows(name string, args []Word) bool {
	if name != engine.VLLM && name != engine.SGLang {
		return false
	}
	rank, err := strconv.Atoi(cmp.Or(option(args, nodeRank), "0"))
	return err == nil && rank > 0 || name == engine.VLLM && slices.ContainsFunc(args, func(w Word) bool { return w.Text == "--headless" })
}
