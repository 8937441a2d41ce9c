// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// shm is shared by a pod's containers and outlives each of them.
const shm = "/dev/shm"

// attempt counts the starts of this container within its pod, from 1, in a file that a restart finds again. Where that
// cannot be kept, each start is the first.
func attempt(dir, podUID, container string) int {
	name := filepath.Join(dir, ".coldtrace-"+strings.ReplaceAll(container, "/", "_")+".attempt")
	var (
		uid   string
		count int
	)
	if b, err := os.ReadFile(name); err == nil {
		if _, err := fmt.Sscanf(string(b), "%s %d", &uid, &count); err != nil || uid != podUID || count < 0 {
			count = 0
		}
	}
	count++
	temp, err := os.CreateTemp(dir, ".coldtrace-*")
	if err != nil {
		return 1
	}
	_, err = fmt.Fprintf(temp, "%s %d\n", podUID, count)
	if err2 := temp.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return 1
	}
	return count
}
