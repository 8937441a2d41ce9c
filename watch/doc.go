// SPDX-License-Identifier: Apache-2.0

// Package watch is the shell around package pod: it follows the pods of labelled namespaces and their events, keeps a small struct for
// each start in flight, exports each phase as it completes, and remembers what was delivered.
//
// A pod's way through it:
//
//	stream, namespace.go  versions of pods, and events, as the API server sends them
//	facts.go              what they say of each pod that start.go takes for one to trace
//	inside.go, listen.go  and what its container's log says, where the wrapper does not
//	spans.go              facts make a timeline; what of it is final and was not delivered is a parcel
//	group.go              what the start means for the pods that it starts with
//	delivery.go           parcels go to the receiver, past a gate while that is away
//	outbox.go             values wait for a checkpoint
//	checkpoint.go, save.go  what was delivered, for the next leader
//	notice.go, metrics.go what people see of it
package watch
