// SPDX-License-Identifier: Apache-2.0

// Package pod turns what the API server knows of one pod, its status and its events, into the spans of its start.
//
// It is pure: it takes values and a time and has no client and no clock. Facts may come in any order, more than once, late or not
// at all; the same facts always give the same spans. Status is what it relies on, because events are a lossy budget;
// events make edges precise.
package pod
