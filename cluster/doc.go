// SPDX-License-Identifier: Apache-2.0

// Package cluster reads the starts of pods from a Kubernetes cluster in which nothing needs to be installed: pods and events for
// what happened around the containers, container logs with the runtime's stamps for what happened inside.
//
// It only ever gets, lists and watches, with the rights of whoever asks. What it may not see, or what is no longer there, makes
// the picture poorer and is named. Lines of logs are read and dropped.
package cluster
