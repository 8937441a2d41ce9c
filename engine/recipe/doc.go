// SPDX-License-Identifier: Apache-2.0

// Package recipe knows the model servers: how their command lines look, and what their start-up logs say.
//
// A recipe is data (recipes/*.yaml): patterns of argv that name the engine, and rules that turn a log line into a phase
// edge, a figure, a marker or a typed failure. A new version's text is one line there. A Reader applies one recipe to
// one container's output, line by line, and answers with phases and figures; a line itself never leaves it.
//
// The package imports nothing but the standard library, a YAML parser and the vocabulary in startup.
package recipe
