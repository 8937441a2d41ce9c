// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

// match reads a command that begins at an index; without an Engine: it starts none that is known.
func match(words []Word, texts []string, at int) Command {
	e, token := engine.Program(texts[at:])
	if e == nil {
		return Command{Site: Site{Problem: NoEngine}}
	}
	token += at
	l := Command{Engine: e.Called(), Role: startup.Role(e.Role), Args: words[token+1:], Site: Site{Word: token, Offset: -1}}
	if l.Role == "" && follows(l.Engine, l.Args) {
		l.Role = startup.RoleWorker
	}
	return l
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
