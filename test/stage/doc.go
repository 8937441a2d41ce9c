// SPDX-License-Identifier: Apache-2.0

// Package stage sets up what a cold start needs on the cluster of test/cluster: what receives telemetry, the S3 server, the images,
// the chart and an endpoint; and reads what that has received. The demo and the end-to-end test share it.
package stage
