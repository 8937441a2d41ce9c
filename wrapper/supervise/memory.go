// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Trim gives back what starting has used: the pages of the program's own file that were mapped around each one that was
// touched. They are in the page cache and come back one by one when needed; this
// process lives as long as its container, and most of its file is somebody else's.
func Trim() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range bytes.SplitSeq(maps, []byte{'\n'}) {
		// 00400000-00c3d000 r-xp 00000000 fe:00 1234 /coldtrace/coldtrace-wrapper
		f := bytes.Fields(line)
		if len(f) < 6 || f[5][0] != '/' || bytes.ContainsRune(f[1], 'w') {
			continue
		}
		from, to, _ := bytes.Cut(f[0], []byte{'-'})
		start, err1 := strconv.ParseUint(string(from), 16, 64)
		end, err2 := strconv.ParseUint(string(to), 16, 64)
		if err1 != nil || err2 != nil || end <= start {
			continue
		}
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_RANDOM)
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
	}
}
