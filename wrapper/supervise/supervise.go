// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/startup"
)

// Run is `coldtrace-wrapper run [--] CMD…` with words of os.Args, and returns the exit code. Where there is nothing to
// tell or nobody to tell it, or the command has to be the first process, it becomes the command and does not return.
func Run(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		complain("run: no command given: use run -- CMD ARG…")
		return exitUsage
	}
	started := time.Now()
	env, observer := withDefaults(environ()), observerFile()
	if idle(env) || observer == "" || insists(args, env) {
		err := become(args, env)
		complain(args[0] + ": " + err.Error())
		return exitOf(err)
	}
	args = takeWords(args)
	s := &supervisor{argv: args, env: env, observerFile: observer, first: os.Getpid() == 1, start: Start{Argv: args, Wrapper: started}}
	return s.run()
}

// inherited lists the descriptors from 3 on that came with this program, and that the command gets as well: those that stay
// open over exec. Without /proc nobody knows them.
func inherited() (fds []int) {
	entries, _ := os.ReadDir("/proc/self/fd") // see above
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

func complain(message string) { _, _ = os.Stderr.WriteString("coldtrace-wrapper: " + message + "\n") }

// supervisor is the state of one run.
type supervisor struct {
	argv         []string
	env          startup.Environ
	observerFile string
	start        Start

	pid      int // the command's; it stays ours until it is reaped
	exited   bool
	status   syscall.WaitStatus
	exitTime time.Time
	askedAt  time.Time // when it was first told to end
	first    bool      // we are the first process of a PID namespace, in the command's place
	shell    string    // the command's name while it is a shell
	outlived bool      // it is dead, and its children live on as they would have with it
	overdue  <-chan time.Time

	signals  *signals
	streams  []*stream
	ends     []int // the command's ends of the pipes
	observer *observer
	observed bool // it was started, or could not be
	inbox    *inbox
}

func (s *supervisor) run() int {
	held := inherited()
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	s.signals = catchSignals()
	argv, env := s.prepare()
	files := s.plumb()
	place := s.place()
	s.start.Command = s.now()
	start := func(argv, env []string) error {
		return execvp(argv, env, func(file string, argv []string) (err error) {
			s.pid, err = syscall.ForkExec(file, s.reaping(argv, file), &syscall.ProcAttr{Env: env, Files: files, Sys: place})
			return err
		})
	}
	err := start(argv, env)
	switch {
	case errors.Is(err, syscall.E2BIG): // with what we add
		err = start(s.argv, s.env)
	case errors.Is(err, syscall.EPERM) && place.Setctty:
		place.Setctty = false
		err = start(argv, env)
	}
	if err != nil {
		complain(s.argv[0] + ": " + err.Error())
		return exitOf(err)
	}
	s.start.PID = s.pid
	s.signals.started()
	closeAll(s.ends...)
	closeAll(held...)
	for _, st := range s.streams {
		st.open()
		st.observe()
		go s.pump(st)
	}
	release(0)
	s.inbox.listen()
	s.supervise(time.After(observerDelay))
	if s.exited && s.observer == nil && !s.observed && s.code() != 0 {
		s.observe()
	}
	return s.finish()
}

// observerDelay is how long a command runs before anybody watches. A command that ends well before that is no start,
// and is not made to wait for its own telemetry.
const observerDelay = 20 * time.Millisecond

// observe starts the observer. Without one the command runs on, and that is what matters.
func (s *supervisor) observe() {
	s.observed = true
	o, err := s.startObserver()
	if err == nil {
		s.observer = o
		return
	}
	for _, st := range s.streams {
		st.blind()
	}
}

// plumb makes the pipes for the command's output and returns its standard files. A terminal stays a terminal. Two
// outputs that are one file stay one, or their order would be lost.
func (s *supervisor) plumb() []uintptr {
	files := []uintptr{0, 1, 2}
	for fd := 1; fd <= 2; fd++ {
		if isTerminal(fd) {
			continue
		}
		if fd == 2 && len(s.streams) == 1 && sameFile(1, 2) {
			files[2], s.streams[0].both = files[1], true
			continue
		}
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			continue // not observed
		}
		s.streams = append(s.streams, newStream(p[0], fd))
		s.ends = append(s.ends, p[1])
		files[fd] = uintptr(p[1])
	}
	return files
}

// pump copies one output, then lets go of both ends: who reads our output sees its end when the command closed it, and
// a command that writes to a reader that is gone is told so.
func (s *supervisor) pump(st *stream) {
	defer close(st.done)
	st.run()
	_ = st.file.Close()
	release(st.out)
	if st.both {
		release(2)
	}
}

// supervise forwards signals and reaps until the command has ended.
func (s *supervisor) supervise(observe <-chan time.Time) {
	for !s.exited {
		select {
		case <-observe:
			s.shell = s.shellName()
			s.observe()
			runtime.GOMAXPROCS(1) // another thread would be woken with each line, to look for more to do
		case n := <-s.signals.forward:
			s.forward(n.(syscall.Signal)) //nolint:forcetypeassert // there is no other os.Signal
		case <-s.signals.children:
			s.reap()
		case <-s.overdue:
			if s.observer != nil {
				_ = syscall.Kill(s.observer.pid, syscall.SIGKILL)
			}
		case <-s.inbox.knocked():
			s.passOn()
		}
	}
}

// forward hands a signal to the command, if it would have had it without us. It is not reaped yet, so its PID is its own.
func (s *supervisor) forward(n syscall.Signal) {
	if s.wants(n) {
		_ = syscall.Kill(s.pid, n)
	}
	if !ends(n) || n == syscall.SIGHUP {
		return
	}
	if s.askedAt.IsZero() {
		s.askedAt = time.Now()
	}
	if s.observer != nil {
		s.observer.send(Note{Signal: int(n), At: s.now()})
	}
}

// now is the time, counted from the start: somebody may set the clock.
func (s *supervisor) now() time.Time { return s.start.Wrapper.Add(time.Since(s.start.Wrapper)) }

// reap collects whoever has ended: the command, the observer, orphans.
func (s *supervisor) reap() {
	spare := s.spares()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil || pid <= 0:
			if s.outlived && (err == syscall.ECHILD || s.inbox.alone()) {
				s.exited, s.exitTime = true, s.now()
			}
			return
		case pid == s.pid && !s.outlived:
			s.exited, s.status, s.exitTime = true, status, s.now()
			if spare && spared(status) {
				s.exited = false
				s.outlive()
			}
		case s.observer != nil && pid == s.observer.pid:
			s.unobserve()
		case s.inbox.reaped(pid):
		case s.outlived:
			s.status = status // of the last, whose end the command would have waited for
		}
	}
}

// unobserve goes on without the observer.
func (s *supervisor) unobserve() {
	close(s.observer.gone)
	closeAll(s.observer.control)
	s.observer = nil
	for _, st := range s.streams {
		st.blind()
	}
}

// finish copies what the command left behind, gives the observer a moment to send the end of the story, and returns the
// exit code.
func (s *supervisor) finish() int {
	for _, st := range s.streams {
		st.finish()
	}
	for _, st := range s.streams {
		if !s.await(st.done, nil) {
			return s.code() // told to stop while nobody reads our output
		}
	}
	o := s.observer
	if o != nil {
		s.dismiss()
	}
	s.part() // meanwhile the observer sends what it has
	if o != nil {
		t := time.NewTimer(s.patience())
		defer t.Stop()
		if !s.await(o.gone, t.C) {
			_ = syscall.Kill(o.pid, syscall.SIGKILL)
		}
	}
	return s.code()
}

// dismiss tells the observer how the command ended, and that there is nothing more to come.
func (s *supervisor) dismiss() {
	n := Note{At: s.exitTime}
	if s.status.Signaled() {
		n.Killed = int(s.status.Signal())
	} else {
		code := s.status.ExitStatus()
		n.Exit = &code
	}
	s.observer.send(n)
	_ = unix.Shutdown(s.observer.control, unix.SHUT_WR)
}

// patience is how long the exit waits for the observer. A command that was told to end had its story told at that time,
// and somebody counts its grace since then; what is left to say then is that it is so, and that it counts.
func (s *supervisor) patience() time.Duration {
	d := startup.FlushTimeout(s.env.Get(startup.EnvFlushTimeout))
	if s.askedAt.IsZero() {
		return d
	}
	return max(d/10, d-time.Since(s.askedAt))
}

// await blocks until done is closed. It gives up at the time-out, and on a signal that would end the command were it
// still there.
func (s *supervisor) await(done <-chan struct{}, timeout <-chan time.Time) bool {
	for {
		select {
		case <-done:
			return true
		case <-timeout:
			return false
		case n := <-s.signals.forward:
			if timeout == nil && ends(n) {
				return false
			}
		case <-s.signals.children:
			s.reap()
		}
	}
}

func (s *supervisor) code() int {
	if s.status.Signaled() {
		return 128 + int(s.status.Signal())
	}
	return s.status.ExitStatus()
}
