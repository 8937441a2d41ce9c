// SPDX-License-Identifier: Apache-2.0

// Package rawsys makes system calls that keep no caller waiting, and doesn't tell the Go scheduler of them. Of one that
// it knows it must assume that it blocks, and wakes a thread to watch over the calling one, which then sleeps in slices
// of 20 µs until all is quiet again: several times the cost of the call, at each line of a log.
//
// Where a call could wait after all, such as for the memory of another process or for a disk, it belongs into package
// unix.
package rawsys

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Open opens one of the small files of /proc for reading. It is negative if that can't be.
func Open(path string) int {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return -1
	}
	at := unix.AT_FDCWD
	//nolint:gosec // the address of a string
	fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(name)), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return -1
	}
	return int(fd)
}

// Pread reads the begin of such a file.
func Pread(fd int, buf []byte) ([]byte, bool) {
	//nolint:gosec // the address of a buffer
	n, _, errno := syscall.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	if errno != 0 {
		return nil, false
	}
	return buf[:n], true
}

// ReadFile is Pread of a file that isn't open.
func ReadFile(path string, buf []byte) ([]byte, bool) {
	fd := Open(path)
	if fd < 0 {
		return nil, false
	}
	defer Close(&fd)
	return Pread(fd, buf)
}

// Close closes files that hold nothing back, and makes them negative. It leaves alone those that are.
func Close(fds ...*int) {
	for _, fd := range fds {
		if *fd >= 0 {
			_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(*fd), 0, 0)
			*fd = -1
		}
	}
}

// Read reads what there is in a pipe that isn't waited for: 0 at its end, negative if there is nothing yet.
func Read(fd int, buf []byte) int {
	for {
		//nolint:gosec // the address of a buffer
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return -1
		default:
			return 0
		}
	}
}

// Readable tells whether there is something to read, or the end of it.
func Readable(fd int) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // fds are small
	var now unix.Timespec
	//nolint:gosec // the kernel's own structs
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno != 0 || n > 0
}

// Tee is tee(2) from a pipe to a pipe without waiting.
func Tee(in, out, n int) (int, error) {
	m, _, errno := syscall.RawSyscall6(unix.SYS_TEE, uintptr(in), uintptr(out), uintptr(n), unix.SPLICE_F_NONBLOCK, 0, 0)
	return result(m, errno)
}

// Splice is splice(2) from a pipe to a pipe without waiting.
func Splice(in, out, n int) (int, error) {
	m, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(in), 0, uintptr(out), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	return result(m, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil //nolint:gosec // at most what was asked for
}

// Block blocks a signal in this thread and returns what was blocked before. The caller has locked the thread.
func Block(sig syscall.Signal) (before uint64) {
	set := bit(sig)
	//nolint:gosec // the kernel's own set
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&set)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	return before
}

// Unblock blocks what was blocked before, and nothing else.
func Unblock(before uint64) {
	//nolint:gosec // the kernel's own set
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&before)), 0, 8, 0, 0)
}

// Take takes a blocked signal that this thread has been sent, if it has.
func Take(sig syscall.Signal) {
	set := bit(sig)
	var now unix.Timespec
	//nolint:gosec // the kernel's own structs
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0, uintptr(unsafe.Pointer(&now)), 8, 0, 0)
}

func bit(sig syscall.Signal) uint64 { return 1 << (sig - 1) }

// PidfdOpen is pidfd_open(2). It is negative if there is none.
func PidfdOpen(pid int) int {
	fd, _, errno := syscall.RawSyscall(unix.SYS_PIDFD_OPEN, uintptr(pid), 0, 0)
	if errno != 0 {
		return -1
	}
	return int(fd)
}

// Boottime is the time since boot.
func Boottime() (time.Duration, bool) {
	var up unix.Timespec
	//nolint:gosec // the kernel's own struct
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&up)), 0)
	return time.Duration(up.Nano()), errno == 0
}
