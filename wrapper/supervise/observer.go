// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"encoding/json"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/startup"
)

// Arguments and file descriptors of the observer's program.
const (
	ObserveArg = "observe"
	ControlFD  = 0 // Start as a line of JSON, then lines of Note, until the wrapper ends
	StdoutFD   = 3 // a copy of the command's standard output
	StderrFD   = 4 // of its standard error; at its end at once if both outputs are one

	ForwardArg = "forward" // what passes vLLM's spans on
	InboxFD    = 3         // listens; standard input is at its end when the wrapper ends
)

// Start tells the observer what was started. It goes through a pipe: in arguments, `pkill -f` for the command would
// find the observer.
type Start struct {
	PID     int       `json:"pid"`
	Argv    []string  `json:"argv"`
	Wrapper time.Time `json:"wrapper"` // when the wrapper started
	Command time.Time `json:"command"` // when the command did
	GPUType string    `json:"gpu_type,omitempty"`
}

// Note tells the observer what happened to the command.
type Note struct {
	Signal int       `json:"signal,omitempty"` // forwarded to it
	Exit   *int      `json:"exit,omitempty"`   // it exited with this code
	Killed int       `json:"killed,omitempty"` // it died of this signal
	At     time.Time `json:"at"`
}

// self is this program's file. Without /proc it is where it was started from.
func self() string {
	if exe, err := os.Readlink("/proc/self/exe"); err == nil {
		return exe
	}
	return os.Args[0]
}

// observerFile is the observer's program, which lies beside this one; empty if it does not, or can't be executed.
func observerFile() string {
	file := path.Join(path.Dir(self()), startup.ObserverName)
	if unix.Access(file, unix.X_OK) != nil {
		return ""
	}
	return file
}

// spawn starts the observer's program, with these descriptors as its standard input and from 3 on; a negative one is
// /dev/null, as its output is. It has a session of its own: signals to the command's process group or terminal are not
// meant for it. With one processor it takes no more from the command, and wakes no thread in vain.
func (s *supervisor) spawn(arg string, stdin int, more ...int) (pid int, err error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer closeAll(null)
	files := []uintptr{uintptr(stdin), uintptr(null), uintptr(null)} //nolint:gosec // fds are small
	for _, fd := range more {
		if fd < 0 {
			fd = null
		}
		files = append(files, uintptr(fd)) //nolint:gosec // fds are small
	}
	return syscall.ForkExec(s.observerFile, []string{s.observerFile, arg}, &syscall.ProcAttr{
		Env: append([]string{"GOMAXPROCS=1"}, s.env...), Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

// observer is the process that watches the start and sends the telemetry.
type observer struct {
	pid     int
	control int // our end of the socket that is its standard input
	gone    chan struct{}
}

// startObserver gives it the streams' copies.
func (s *supervisor) startObserver() (*observer, error) {
	copies := []int{-1, -1}
	for _, st := range s.streams {
		copies[st.out-1] = st.copied
	}
	defer closeAll(copies...)
	// A socket, because writing to a pipe that nobody reads any more is a signal, which would be forwarded.
	control, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer closeAll(control[0])
	pid, err := s.spawn(ObserveArg, control[0], copies...)
	if err != nil {
		closeAll(control[1])
		return nil, err
	}
	o := &observer{pid: pid, control: control[1], gone: make(chan struct{})}
	_ = unix.SetNonblock(o.control, true)
	o.send(s.start)
	return o, nil
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
			poll(o.control, unix.POLLOUT, 10)
		case err != unix.EINTR:
			return
		}
	}
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
