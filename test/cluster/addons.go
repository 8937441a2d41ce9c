// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
)

// addon is a process of the node that is started and stopped by name: `start NAME`, `stop NAME`. It runs
// in the node's namespaces, listens on the node's address and logs to run/log/NAME.log.
type addon struct {
	// bin is the binary under bin/; `start` builds it when it is missing or out of date.
	bin string
	// argv are the arguments after the binary. Folders it writes to belong under run/.
	argv func(l layout, n network) []string
	// env is added to the node's small environment.
	env func(l layout, n network) []string
	// dirs are made before it starts.
	dirs func(l layout) []string
	// ready is a TCP port, or an URL that answers 2xx, on the node; empty means ready when running.
	ready func(n network) string
}

// addons is every extra process the node offers.
var addons = map[string]addon{
	"collector": {
		bin: "collector",
		argv: func(l layout, _ network) []string {
			return []string{"--config", filepath.Join(l.checkout, "test/collector/config.yaml")}
		},
		env: func(l layout, n network) []string {
			return []string{"COLLECTOR_HOST=" + n.NodeIP, "COLLECTOR_FILE=" + filepath.Join(l.run, "otlp", "otlp.jsonl")}
		},
		dirs:  func(l layout) []string { return []string{filepath.Join(l.run, "otlp")} },
		ready: func(n network) string { return "http://" + n.NodeIP + ":13133/" },
	},
	"receiver": {
		bin: "receiver",
		argv: func(l layout, n network) []string {
			return []string{"-listen", n.NodeIP + ":4317", "-file", filepath.Join(l.run, "otlp", "otlp.jsonl")}
		},
		dirs:  func(l layout) []string { return []string{filepath.Join(l.run, "otlp")} },
		ready: func(n network) string { return n.NodeIP + ":4317" },
	},
	"s3": {
		bin: "s3",
		argv: func(_ layout, n network) []string {
			// Slow enough that a download is a phase one can see.
			return []string{"--listen", n.NodeIP + ":9000", "--size", "300", "--rate", "100"}
		},
		ready: func(n network) string { return n.NodeIP + ":9000" },
	},
}
