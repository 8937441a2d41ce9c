// SPDX-License-Identifier: Apache-2.0

package startup

import "time"

// Defaults of the wrapper's environment.
const (
	// DefaultTimeout ends a start that never got ready: above the longest published one (vllm#16961: 11,629 s is an
	// outlier of hours; model-engine waits 20 minutes for Ray alone).
	DefaultTimeout = time.Hour
	// DefaultFlushTimeout bounds how long the wrapper's exit waits for a collector.
	DefaultFlushTimeout = 2 * time.Second
)
