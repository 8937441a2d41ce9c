// SPDX-License-Identifier: Apache-2.0

// Package supervise runs a command as tini would: it starts it at once, hands it every signal, copies its output,
// reaps orphans and exits as it did. It knows nothing of telemetry but how to start the observer, a program of its own
// that is fed copies of the output and may crash, hang, be killed or be missing without the command noticing.
//
// It imports little on purpose: what is initialised here the command waits for, and what is held here the container pays
// for as long as it runs. A test holds what it may not import.
package supervise
