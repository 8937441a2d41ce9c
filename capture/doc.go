// SPDX-License-Identifier: Apache-2.0

// Package capture holds what the API server knew of the starts of some pods in a file: it records them, cut down to what
// package pod reads, and reads them again to tell the same starts.
package capture
