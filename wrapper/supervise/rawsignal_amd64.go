// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawFD is where rawHandler writes one byte for each signal: its number, and sentByKernel. Among them is a zero for the
// time at which the command ran: a signal before it had nobody else to go to.
var rawFD int32 //nolint:unused // raw_amd64.s reads it

// sentByKernel is set in a signal's byte if no process sent it.
const sentByKernel = 0x80

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

// newCatcher makes a function that catches signals with a handler of our own, and one that says that the command runs.
//
// os/signal could do nearly all of it, but wakes two threads for each signal that is asked for, a few milliseconds for
// all of them before the command could start; it keeps SIGPROF, the profiler's, and 32 to 34, a C library's, to itself,
// though 34 is SIGRTMIN to everybody else; and it does not tell who sent one. Elsewhere than here, where every signal is
// tested, os/signal does it.
func newCatcher(s *signals) (catch func(...syscall.Signal), running func()) {
	var p [2]int
	if unix.Pipe2(p[:], unix.O_CLOEXEC) != nil {
		return func(...syscall.Signal) {}, func() {}
	}
	_ = unix.SetNonblock(p[1], true)
	rawFD = int32(p[1]) //nolint:gosec // fds are small
	go func() {
		// Signals that were blocked when we started stay so for the command. Here they are not, or they would end here
		// instead of at a command that has unblocked them.
		runtime.LockOSThread()
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil)
		var b [64]byte
		for runs := false; ; {
			n, err := retried(func() (int, error) { return unix.Read(p[0], b[:]) })
			if err != nil || n == 0 {
				return
			}
			for _, sig := range b[:n] {
				if sig == 0 {
					runs = true
					continue
				}
				s.got(caught{syscall.Signal(sig &^ sentByKernel), runs && sig&sentByKernel != 0})
			}
		}
	}()
	catch = func(numbers ...syscall.Signal) {
		const ( // uapi/asm-generic/signal.h
			sigInfo  = 0x00000004
			onStack  = 0x08000000
			restart  = 0x10000000
			restorer = 0x04000000
		)
		sa := kernelSigaction{
			handler: rawHandlerPC(), restorer: rawRestorerPC(), mask: ^uint64(0), flags: sigInfo | onStack | restart | restorer,
		}
		for _, n := range numbers {
			//nolint:gosec // the kernel's own struct
			_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&sa)), 0, 8, 0, 0)
		}
	}
	return catch, func() { _, _ = unix.Write(p[1], []byte{0}) }
}
