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
//
// What was written to before it became read-only does not come back, as the relocated pages of a position-independent
// program or of the C library: a mapping with such pages stays. Where the kernel does not tell, all stay.
func Trim() {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	var start, end uint64
	var clean bool
	for line := range bytes.SplitSeq(maps, []byte{'\n'}) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch string(f[0]) {
		case "Anonymous:", "Swap:":
			clean = clean && string(f[1]) == "0"
		case "VmFlags:": // the last of a mapping's
			if clean {
				_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_RANDOM)
				_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
			}
		default:
			// 00400000-00c3d000 r-xp 00000000 fe:00 1234 /coldtrace/coldtrace-wrapper
			from, to, mapping := bytes.Cut(f[0], []byte{'-'})
			if !mapping {
				continue
			}
			var err1, err2 error
			start, err1 = strconv.ParseUint(string(from), 16, 64)
			end, err2 = strconv.ParseUint(string(to), 16, 64)
			clean = err1 == nil && err2 == nil && end > start && len(f) > 5 && f[5][0] == '/' && !bytes.ContainsRune(f[1], 'w')
		}
	}
}
