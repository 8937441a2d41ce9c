// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that each line takes keep nobody waiting, and don't tell the Go scheduler. Of one that it knows it must assume
// that it blocks, and wakes a thread to watch over the calling one, which then sleeps in slices of 20 µs until all is
// quiet again: several times the cost of the call.

// readable tells whether there is something to read, or the end of it.
func readable(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // fds are small
	var now unix.Timespec
	//nolint:gosec // the kernel's own structs
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno != 0 || n > 0
}

// tee is tee(2) from a pipe to a pipe without waiting.
func tee(in, out, n int) (int, error) {
	return result(syscall.RawSyscall6(unix.SYS_TEE, uintptr(in), uintptr(out), uintptr(n), unix.SPLICE_F_NONBLOCK, 0, 0))
}

// splice is splice(2) from a pipe to a pipe without waiting.
func splice(in, out, n int) (int, error) {
	return result(syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(in), 0, uintptr(out), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK))
}

func result(n, _ uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil //nolint:gosec // at most what was asked for
}

// sigpipe is the kernel's set of that one signal.
const sigpipe = uint64(1) << (unix.SIGPIPE - 1)

// blockSIGPIPE blocks it in this thread and returns what was blocked before. The caller has locked the thread.
func blockSIGPIPE() (before uint64) {
	set := sigpipe
	//nolint:gosec // the kernel's own set
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&set)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	return before
}

// unblock blocks what was blocked before, and nothing else.
func unblock(before uint64) {
	//nolint:gosec // the kernel's own set
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&before)), 0, 8, 0, 0)
}

// takeSIGPIPE takes it where this thread was sent it, and it is blocked.
func takeSIGPIPE() {
	set := sigpipe
	var now unix.Timespec
	//nolint:gosec // the kernel's own structs
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0, uintptr(unsafe.Pointer(&now)), 8, 0, 0)
}
