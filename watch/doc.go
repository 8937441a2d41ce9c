// SPDX-License-Identifier: Apache-2.0

// Package watch is the shell around package pod: it follows the pods of labelled namespaces and their events, keeps a small struct for
// each start in flight, exports each phase as it completes, and remembers what was delivered.
//
// A pod's way through it:
//
//	stream, namespace.go  versions of pods, and events, as the API server sends them
//	start.go              facts: one start for each pod that the policy selects
//	delivery.go           a look at a start: its facts make a timeline, what of it is final goes out
//	choose.go             which spans are final and were not delivered
//	inside.go, listen.go  what its container's log tells, where the wrapper does not
//	group.go              what it means for the pods that it starts with
//	gate.go, outbox.go    spans wait for a receiver that is away, values for a checkpoint
//	checkpoint.go, save.go  what was delivered, for the next leader
//	notice.go, metrics.go what people see of it
package watch
