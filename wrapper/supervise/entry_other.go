// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package supervise

// There is no entry point of our own: what Go's runtime has done to signals before any Go code ran is not known.
const (
	entered      = 0
	entryIgnored = uint64(0)
	entryBlocked = uint64(0)
)
