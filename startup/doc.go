// SPDX-License-Identifier: Apache-2.0

// Package startup is the vocabulary that the wrapper and the watcher share: the identity of a trace, the names of
// spans, attributes and metrics, what a span measures, and the environment that carries all of it into a container.
//
// It imports nothing of Kubernetes, so that the wrapper stays small. docs/contract.md is its prose form.
package startup
