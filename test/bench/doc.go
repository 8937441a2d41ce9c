// SPDX-License-Identifier: Apache-2.0

// Package bench measures what only a whole cluster shows: how much later a pod's own process begins because of coldtrace.
// Its benchmarks are behind the build tag bench, and boot the cluster of test/cluster; `make bench` runs them with all
// others and has report make tables of what they print.
package bench
