// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestALineCostsNoMemory(t *testing.T) {
	var in, out, tap [2]int
	for _, p := range []*[2]int{&in, &out, &tap} {
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
	}
	s := newStream(in[0], out[1])
	s.open()
	t.Cleanup(func() {
		_ = s.file.Close()
		closeAll(in[1], out[0], out[1], tap[0], tap[1])
	})
	line, buf := []byte("INFO 03-01 12:00:00 [cuda.py:351] a line\n"), make([]byte, 4096)
	lost := 0
	if n := testing.AllocsPerRun(100, func() {
		if _, err := unix.Write(in[1], line); err != nil {
			t.Fatal(err)
		}
		s.await()
		if _, err := s.pass(tap[1]); err != nil {
			t.Fatal(err)
		}
		n, _ := unix.Read(out[0], buf)
		m, _ := unix.Read(tap[0], buf)
		if n != len(line) || m != len(line) {
			lost++
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if lost != 0 {
		t.Errorf("%d of 101 lines did not arrive", lost)
	}
}
