// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Arguments and file descriptors of the observer.
const (
	ObserveArg = "observe"

	ControlFD = 0 // Start as a line of JSON, then lines of Note, until the wrapper ends
	StdoutFD  = 3 // a copy of the command's standard output
	StderrFD  = 4 // of its standard error; at its end at once if both outputs are one
	FirstFree = 5 // from here on, what the observer inherited and must not hold
)

// Start tells the observer what was started. It goes through a pipe: in arguments, `pkill -f` for the command would
// find the observer.
type Start struct {
	PID     int       `json:"pid"`
	Argv    []string  `json:"argv"`
	Wrapper time.Time `json:"wrapper"` // when the wrapper started
	Command time.Time `json:"command"` // when the command did
	TTY     bool      `json:"tty"`     // output is a terminal and not copied
	GPUType string    `json:"gpu_type,omitempty"`
}

// Note tells the observer what happened to the command.
type Note struct {
	Signal int       `json:"signal,omitempty"` // forwarded to it
	Exit   *int      `json:"exit,omitempty"`   // it exited with this code
	Killed int       `json:"killed,omitempty"` // it died of this signal
	At     time.Time `json:"at"`
}

// observer is the process that watches the start and sends the telemetry.
type observer struct {
	pid     int // 0: there is none
	control int // our end of the socket that is its standard input
	gone    chan struct{}
}

// tap is a pipe that carries a copy of an output to the observer. It is there before the observer, so that nothing is
// missed meanwhile.
type tap struct{ fd, read int }

func tapAll(streams []*stream) []tap {
	var taps []tap
	for _, st := range streams {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			continue // this output is not observed
		}
		_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, pipeSize)
		_ = unix.SetNonblock(p[1], true)
		st.observe(p[1])
		taps = append(taps, tap{fd: StdoutFD + st.out - 1, read: p[0]})
	}
	return taps
}

// startObserver runs this binary again, with the read ends of the taps, which it closes here.
func startObserver(s Start, env []string, taps []tap) (*observer, error) {
	o := &observer{gone: make(chan struct{})}
	defer func() {
		for _, t := range taps {
			closeAll(t.read)
		}
	}()
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer closeAll(null)
	// A socket, because writing to a pipe that nobody reads any more is a signal, which would be forwarded.
	control, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer closeAll(control[0])
	files := []uintptr{uintptr(control[0]), uintptr(null), uintptr(null), uintptr(null), uintptr(null)}
	for _, t := range taps {
		files[t.fd] = uintptr(t.read)
	}
	exe, err := executable()
	if err == nil {
		// A session of its own: signals to the command's process group or terminal are not meant for it. One processor:
		// it takes no more from the command, and wakes no thread in vain.
		o.pid, err = syscall.ForkExec(exe, []string{os.Args[0], ObserveArg}, &syscall.ProcAttr{
			Env: append([]string{"GOMAXPROCS=1"}, env...), Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
		})
	}
	if err != nil {
		closeAll(control[1])
		return nil, err
	}
	o.control = control[1]
	_ = unix.SetNonblock(o.control, true)
	o.send(s)
	return o, nil
}

// executable is this binary's file. Without /proc it is where it was started from.
func executable() (string, error) {
	const self = "/proc/self/exe"
	if unix.Access(self, unix.X_OK) == nil {
		return self, nil
	}
	for _, file := range candidates(os.Args[0], syscall.Environ()) {
		if unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
	}
	return "", syscall.ENOENT
}

// send writes one line. An observer that does not read it is not waited for.
func (o *observer) send(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		return
	}
	line = append(line, '\n')
	for deadline := time.Now().Add(100 * time.Millisecond); len(line) > 0 && time.Now().Before(deadline); {
		n, err := unix.SendmsgN(o.control, line, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case n > 0:
			line = line[n:]
		case err == unix.EAGAIN:
			fds := []unix.PollFd{{Fd: int32(o.control), Events: unix.POLLOUT}} //nolint:gosec // fds are small
			_, _ = unix.Poll(fds, 10)
		case err != unix.EINTR:
			return
		}
	}
}

// startRelay leaves a process behind that copies on for those who outlive the command, as they would have written on
// without us. It is of no use to PID 1, with which all end.
func startRelay(in, out int) error {
	exe, err := executable()
	if err != nil {
		return err
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeAll(null)
	_, err = syscall.ForkExec(exe, []string{os.Args[0], RelayArg}, &syscall.ProcAttr{
		Files: []uintptr{uintptr(in), uintptr(out), uintptr(null)}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	return err
}

// RelayArg makes this binary copy standard input to standard output.
const RelayArg = "relay"

// CloseInherited closes what a process of ours must not keep open, from a descriptor on: somebody may wait for its end.
// Its own files close on exec, what it inherited evidently did not.
func CloseInherited(from int) {
	for _, fd := range inherited() {
		if fd >= from {
			closeAll(fd)
		}
	}
}

// Relay is the process that startRelay leaves behind.
func Relay() int {
	closeAll(inherited()...)
	in, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3) // os.Stdin is in Go's poller already: the pipe doesn't block
	if err != nil {
		return 1
	}
	st := newStream(in, 1)
	st.open()
	st.run()
	return 0
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// inherited lists the file descriptors from 3 on that came with this program: those that stay open over exec.
func inherited() []int {
	dir, err := unix.Open("/proc/self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return slices.DeleteFunc(unlisted(), func(fd int) bool { return !staysOpen(fd) })
	}
	defer closeAll(dir)
	var fds []int
	buf := make([]byte, 4096)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n <= 0 {
			return fds
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			fd, err := strconv.Atoi(name)
			if err != nil || fd < 3 || fd == dir {
				continue
			}
			if staysOpen(fd) {
				fds = append(fds, fd)
			}
		}
	}
}

// staysOpen tells a descriptor that is open over exec.
func staysOpen(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// unlisted are the descriptors to ask about where there is no /proc to list them.
func unlisted() []int {
	fds := make([]int, 253)
	for i := range fds {
		fds[i] = i + 3
	}
	return fds
}
