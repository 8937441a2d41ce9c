// SPDX-License-Identifier: Apache-2.0

// Package attempt counts the starts of a container within its pod, from 1, in a file that a restart finds again: a
// pod's containers share /dev/shm, which outlives each of them.
package attempt

import (
	"os"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/wrapper/wholefile"
)

// Dir is where the count is kept.
const Dir = "/dev/shm"

// Next is the number of the start that is going on, as long as Count was not called for it.
func Next(dir, podUID, container string) int {
	b, err := os.ReadFile(file(dir, container))
	if err != nil {
		return 1
	}
	uid, count, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	n, err := strconv.Atoi(count)
	if err != nil || uid != podUID || n < 0 {
		return 1
	}
	return n + 1
}

// Count is Next, and keeps it. Where it cannot be kept, each start is the first.
func Count(dir, podUID, container string) int {
	n := Next(dir, podUID, container)
	if wholefile.Write(file(dir, container), strings.NewReader(podUID+" "+strconv.Itoa(n)+"\n"), 0o600) != nil {
		return 1
	}
	return n
}

func file(dir, container string) string {
	return dir + "/.coldtrace-" + strings.ReplaceAll(container, "/", "_") + ".attempt"
}
