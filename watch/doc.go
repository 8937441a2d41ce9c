// SPDX-License-Identifier: Apache-2.0

// Package watch is the shell around package timeline: it follows the pods of labelled namespaces and their events,
// keeps a small struct for each start in flight, exports each phase as it completes, and remembers what was delivered.
package watch
