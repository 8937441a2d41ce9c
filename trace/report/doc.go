// SPDX-License-Identifier: Apache-2.0

// Package report says of many starts what is usual, what is slow, what fails and what varies, by group; and of two sets
// of starts what is different.
//
// It is pure: traces in, text out.
package report
