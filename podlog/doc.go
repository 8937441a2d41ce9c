// SPDX-License-Identifier: Apache-2.0

// Package podlog reads the log of a pod's container through the API server, with the kubelet's stamps, for the story of what
// happened in the container. Lines are passed on and dropped.
package podlog
