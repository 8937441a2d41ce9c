// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package supervise

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hidden are the signals that os/signal does not deliver: SIGPROF is the profiler's, 32 to 34 a C library's, though 34
// is SIGRTMIN to everybody else.
var hidden = []syscall.Signal{syscall.SIGPROF, 32, 33, 34}

// rawFD is where rawHandler writes the numbers of signals, one byte each.
var rawFD int32

// rawHandlerPC and rawRestorerPC are addresses of code in raw_*.s: what the kernel calls with the number of a signal,
// and what it returns to.
func rawHandlerPC() uintptr
func rawRestorerPC() uintptr

// kernelSigaction is struct sigaction as rt_sigaction(2) takes it.
type kernelSigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// catchHidden forwards the hidden signals too. Go's runtime is asked nothing: it does not use them here, neither
// profiling nor system calls on all threads.
func catchHidden(forward chan<- os.Signal) {
	var p [2]int
	if unix.Pipe2(p[:], unix.O_CLOEXEC) != nil {
		return
	}
	_ = unix.SetNonblock(p[1], true)
	rawFD = int32(p[1]) //nolint:gosec // fds are small
	const (             // uapi/asm-generic/signal.h
		onStack  = 0x08000000
		restart  = 0x10000000
		restorer = 0x04000000
	)
	sa := kernelSigaction{
		handler: rawHandlerPC(), restorer: rawRestorerPC(), mask: ^uint64(0),
		flags: onStack | restart | restorer,
	}
	for _, n := range hidden {
		//nolint:gosec // the kernel's own struct
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&sa)), 0, 8, 0, 0)
	}
	go func() {
		var b [64]byte
		for {
			n, err := retried(func() (int, error) { return unix.Read(p[0], b[:]) })
			if err != nil || n == 0 {
				return
			}
			for _, sig := range b[:n] {
				forward <- syscall.Signal(sig)
			}
		}
	}()
}
