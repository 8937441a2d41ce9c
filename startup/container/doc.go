// SPDX-License-Identifier: Apache-2.0

// Package container turns what is seen of one start of a container, its processes, the lines of its output, its health and its
// end, into the spans of that start.
//
// It is pure: it takes values with their times and has no clock. Who feeds it matters to the times alone: the wrapper's
// observer sees processes as they come and go, a container's log that is read later tells less, of the same spans.
package container
