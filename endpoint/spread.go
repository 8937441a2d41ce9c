// SPDX-License-Identifier: Apache-2.0

package endpoint

import "strings"

// spreadOptions are those of a server that needs others to start: ranks of one model, or data-parallel ones, which wait for each
// other. All of vLLM, nnodes and node-rank of SGLang and LMDeploy as well.
var spreadOptions = map[string]bool{
	"--nnodes": true, "--node-rank": true, "--headless": true, "--dist-init-addr": true, "--nccl-init-addr": true, "--dist-init-method": true,
	"--data-parallel-address": true, "-dpa": true, "--data-parallel-rank": true, "-dpn": true, "--data-parallel-start-rank": true, "-dpr": true,
	"--data-parallel-external-lb": true, "-dpe": true, "--data-parallel-hybrid-lb": true, "-dph": true,
}

// spreads tells whether a command starts a part of a server, and of how many if it says so.
func spreads(l *Command) (nodes int, spread bool) {
	if l == nil {
		return 0, false
	}
	for i := range l.Args {
		text := l.Args[i].start()
		name, value, inline := strings.Cut(text, "=")
		name = strings.ReplaceAll(name, "_", "-")
		if !strings.HasPrefix(text, "-") || !spreadOptions[name] {
			continue
		}
		spread = true
		if name == "--nnodes" {
			if !inline && i+1 < len(l.Args) {
				value = l.Args[i+1].value()
			}
			if nodes = number(value); nodes == 1 { // whatever else it says, there are no others
				return 1, false
			}
		}
	}
	return nodes, spread
}
