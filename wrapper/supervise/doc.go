// SPDX-License-Identifier: Apache-2.0

// Package supervise runs a command as tini would: it starts it at once, hands it every signal, copies its output,
// reaps orphans and exits as it did. It knows nothing of telemetry but how to start the observer, a process of its own
// that is fed copies of the output and may crash, hang or be killed without the command noticing.
//
// It imports little on purpose: see package launch.
package supervise
