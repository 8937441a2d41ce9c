// SPDX-License-Identifier: Apache-2.0

package rawsys

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// long is longer than anything here takes.
const long = 10 * time.Second

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(&p[0], &p[1]) })
	return p[0], p[1]
}

var x = []byte("x")

func write(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, x); err != nil {
		t.Fatal(err)
	}
}

func newPoll(t *testing.T) *Poll {
	t.Helper()
	p, err := NewPoll()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// wait is what one Wait tells.
func wait(p *Poll) (told []int, stopped bool) {
	stopped = p.Wait(func(n int) { told = append(told, n) })
	return told, stopped
}

func TestAFileIsToldAsOftenAsAskedFor(t *testing.T) {
	p := newPoll(t)
	always, w1 := pipe(t)
	once, w2 := pipe(t)
	if !p.Add(always, 1) || !p.AddOnce(once, 2) {
		t.Fatal("not included")
	}
	write(t, w2)
	p.After(long)
	if told, stopped := wait(p); len(told) != 1 || told[0] != 2 || stopped {
		t.Fatalf("told %v, stopped %v", told, stopped)
	}
	p.After(time.Millisecond)
	if told, _ := wait(p); len(told) != 0 {
		t.Errorf("told %v again", told)
	}
	p.Again(once, 2)
	p.After(long)
	if told, _ := wait(p); len(told) != 1 || told[0] != 2 {
		t.Errorf("told %v, want what was not read yet", told)
	}
	write(t, w1)
	for range 2 {
		p.After(long)
		if told, _ := wait(p); len(told) != 1 || told[0] != 1 {
			t.Errorf("told %v, want 1 as long as nobody reads it", told)
		}
	}
}

func TestWaitingEndsWhenItIsTime(t *testing.T) {
	p := newPoll(t)
	for _, d := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond} {
		began := time.Now()
		p.After(d)
		told, stopped := wait(p)
		if took := time.Since(began); len(told) != 0 || stopped || took < d {
			t.Errorf("after %v of %v: told %v, stopped %v", took, d, told, stopped)
		}
	}
}

func TestALaterTimeTakesBackAnEarlierOne(t *testing.T) {
	p := newPoll(t)
	p.After(time.Nanosecond)
	began := time.Now()
	p.After(50 * time.Millisecond)
	wait(p)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("waited for %v", took)
	}
}

func TestStopEndsWaitingForGood(t *testing.T) {
	p := newPoll(t)
	over := make(chan bool, 1)
	go func() {
		_, stopped := wait(p)
		over <- stopped
	}()
	p.Stop()
	select {
	case stopped := <-over:
		if !stopped {
			t.Error("it does not say that it was stopped")
		}
	case <-time.After(long):
		t.Fatal("it waits on")
	}
	p.After(long)
	if _, stopped := wait(p); !stopped {
		t.Error("it waits again")
	}
}

func TestReadingDoesNotWait(t *testing.T) {
	r, w := pipe(t)
	buf := make([]byte, 8)
	if n := Read(r, buf); n >= 0 || Readable(r) {
		t.Errorf("%d bytes of an empty pipe", n)
	}
	write(t, w)
	if !Readable(r) {
		t.Error("nothing to read")
	}
	if n := Read(r, buf); n != 1 || buf[0] != 'x' {
		t.Errorf("%d bytes, %q", n, buf)
	}
	Close(&w)
	if n := Read(r, buf); n != 0 || !Readable(r) || w != -1 {
		t.Errorf("%d bytes at the end", n)
	}
}

func TestAPipeIsCopiedAndMoved(t *testing.T) {
	r, w := pipe(t)
	copied, copyTo := pipe(t)
	moved, moveTo := pipe(t)
	write(t, w)
	if n, err := Tee(r, copyTo, 100); n != 1 || err != nil {
		t.Fatalf("tee: %d, %v", n, err)
	}
	if n, err := Splice(r, moveTo, 100); n != 1 || err != nil {
		t.Fatalf("splice: %d, %v", n, err)
	}
	if _, err := Splice(r, moveTo, 100); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("splice of nothing: %v", err)
	}
	buf := make([]byte, 8)
	if Read(copied, buf) != 1 || Read(moved, buf) != 1 {
		t.Error("a byte is missing")
	}
}

// Without taking it the signal arrives: the test can fail.
func TestASIGPIPEOfOnesOwnCanBeTaken(t *testing.T) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGPIPE)
	defer signal.Stop(caught)
	for _, take := range []bool{true, false} {
		r, w := pipe(t)
		gone, out := pipe(t)
		Close(&gone)
		write(t, w)
		runtime.LockOSThread()
		before := Block(unix.SIGPIPE)
		_, err := Splice(r, out, 100)
		if take {
			Take(unix.SIGPIPE)
		}
		Unblock(before)
		runtime.UnlockOSThread()
		if !errors.Is(err, unix.EPIPE) {
			t.Fatalf("splice to nobody: %v", err)
		}
		arrived, patience := false, long
		if take {
			patience = 100 * time.Millisecond
		}
		select {
		case <-caught:
			arrived = true
		case <-time.After(patience):
		}
		if arrived == take {
			t.Errorf("taken %v, arrived %v", take, arrived)
		}
	}
}

func TestSmallFilesAreRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if b, ok := ReadFile(path, buf); !ok || string(b) != "content" {
		t.Errorf("%q, %v", b, ok)
	}
	if b, ok := ReadFile(path+"x", buf); ok {
		t.Errorf("%q of no file", b)
	}
	if fd := Open("with\x00nul"); fd >= 0 {
		t.Error("a name with NUL was opened")
	}
	if up, ok := Boottime(); !ok || up <= 0 {
		t.Errorf("up for %v", up)
	}
	want, err := unix.PidfdOpen(os.Getpid(), 0) // an old kernel has none
	fd := PidfdOpen(os.Getpid())
	if (fd >= 0) != (err == nil) {
		t.Errorf("pidfd %d, where package unix says %d, %v", fd, want, err)
	}
	Close(&fd, &want)
}

func TestWaitingCostsNoMemory(t *testing.T) {
	p := newPoll(t)
	r, w := pipe(t)
	if !p.AddOnce(r, 1) {
		t.Fatal("not included")
	}
	told := 0
	count := func(int) { told++ }
	if n := testing.AllocsPerRun(100, func() {
		p.After(time.Microsecond)
		p.Wait(count)
		write(t, w)
		p.Again(r, 1)
		p.Wait(count)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if told == 0 {
		t.Error("nothing was told")
	}
}
