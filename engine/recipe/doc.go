// SPDX-License-Identifier: Apache-2.0

// Package recipe knows what the start-up logs of model servers say.
//
// A recipe is data (recipes/*.yaml): rules that turn a log line into a phase edge, a figure, a marker or a typed failure.
// A new version's text is one line there; which command lines start an engine stands in the table of package engine. A
// Reader applies one recipe to one container's output, line by line, and answers with phases and figures; a line itself
// never leaves it.
package recipe
