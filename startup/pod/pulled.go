// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"regexp"
	"strconv"
	"time"
)

// pulledText is what the kubelet has said since 1.17, in three generations:
//
//	Successfully pulled image "x" in 5.87s
//	Successfully pulled image "x" in 80ms (5.2s including waiting)
//	Successfully pulled image "x" in 80ms (5.2s including waiting). Image size: 4942111 bytes.
var pulledText = regexp.MustCompile(
	`^Successfully pulled image .* in ([0-9.hmµns]+?)(?: \(([0-9.hmµns]+) including waiting\))?\.?(?: Image size: ([0-9]+) bytes\.?)?$`)

// pulled reads how long a pull took, how long with the wait for other pulls, and the image's size in bytes. What is not
// said is 0.
func pulled(message string) (pull, waiting nanos, size int64) {
	m := pulledText.FindStringSubmatch(message)
	if m == nil {
		return 0, 0, 0
	}
	pull, waiting = duration(m[1]), duration(m[2])
	size, _ = strconv.ParseInt(m[3], 10, 64) // digits, or nothing
	return pull, max(waiting, pull), size
}

func duration(s string) nanos {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0
	}
	return nanos(d)
}
