// SPDX-License-Identifier: Apache-2.0

// Package group tells the start of several pods that start as one, from what is known of each pod's: when it was ready, or that
// it never will be, and which pod the others waited for. It is pure, and what it tells does not depend on the order in which it
// learnt of the pods.
package group
