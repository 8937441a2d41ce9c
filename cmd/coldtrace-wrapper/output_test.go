// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/startup"
)

// emitEnv makes this test program write so many bytes, in pieces of any size, to standard output and to standard error.
const emitEnv = "COLDTRACE_TEST_EMIT"

// emit writes what noise makes.
func emit(total int64) error {
	sizes := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	streams := []*os.File{os.Stdout, os.Stderr}
	sources := []io.Reader{noise(1), noise(2)}
	left := []int64{total, total / 8}
	buf := make([]byte, 1<<20)
	for left[0]+left[1] > 0 {
		i := 0
		if left[0] == 0 || left[1] > 0 && sizes.IntN(9) == 0 {
			i = 1
		}
		n := min(left[i], 1+sizes.Int64N(int64(len(buf))>>sizes.IntN(18)))
		if _, err := io.ReadFull(sources[i], buf[:n]); err != nil {
			return err
		}
		if _, err := streams[i].Write(buf[:n]); err != nil {
			return err
		}
		left[i] -= n
	}
	return nil
}

// noise is a stream of bytes that look like nothing, new lines among them.
func noise(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

func digest(r io.Reader, n int64) (string, error) {
	h := sha256.New()
	_, err := io.CopyN(h, r, n)
	return hex.EncodeToString(h.Sum(nil)), err
}

// counter hashes and counts what is written to it.
type counter struct {
	hash.Hash
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return c.Hash.Write(b)
}

func TestAGigabyteComesThroughByteForByte(t *testing.T) {
	t.Parallel()
	const total = 1<<30 + 12345
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(wrapper, "run", "--", self)
	cmd.Env = append(chaotic("http://"+unanswered(t), startup.ProtocolGRPC), emitEnv+"="+strconv.Itoa(total))
	stdout, stderr := &counter{Hash: sha256.New()}, &counter{Hash: sha256.New()}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	for i, got := range []*counter{stdout, stderr} {
		want, err := digest(noise(byte(i+1)), got.n)
		if err != nil {
			t.Fatal(err)
		}
		if size := []int64{total, total / 8}[i]; got.n != size || hex.EncodeToString(got.Sum(nil)) != want {
			t.Errorf("stream %d: %d bytes of %d, the same: %v", i+1, got.n, size, hex.EncodeToString(got.Sum(nil)) == want)
		}
	}
}

func TestACommandThatMindsNoSignalIsToldThatNobodyReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `trap '' PIPE; echo first; read line; while echo more 2>` + dir + `/why; do :; done; exit 9`
	for name, prefix := range map[string][]string{"bare": nil, "wrapped": {wrapper, "run", "--"}} {
		argv := append(slices.Clone(prefix), "bash", "-c", script)
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(quiet(), "LC_ALL=C")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		_ = out.Close()
		_ = in.Close()
		_ = cmd.Wait()
		b, err := os.ReadFile(filepath.Join(dir, "why"))
		if err != nil || status(cmd.ProcessState) != 9 || !bytes.Contains(b, []byte("Broken pipe")) {
			t.Errorf("%s: exit %d, %q, %v", name, status(cmd.ProcessState), b, err)
		}
	}
}

func TestAnOutputThatDoesNotBlockLosesNothingAndStaysSo(t *testing.T) {
	t.Parallel()
	const size = 20_000_000
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(p[1], true); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(p[0]), "r"), os.NewFile(uintptr(p[1]), "w") //nolint:gosec // fds are small
	defer r.Close()
	cmd := exec.Command(wrapper, "run", "--", "head", "-c", strconv.Itoa(size), "/dev/zero")
	cmd.Env, cmd.Stdout = quiet(), w
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for buf := make([]byte, 1<<16); n < size; { // a reader that takes its time
		m, err := r.Read(buf)
		if err != nil {
			t.Fatal(n, err)
		}
		n += int64(m)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("its flags became %x, %v", flags, err)
		}
	}); err != nil {
		t.Error(err)
	}
	_ = w.Close()
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
		t.Errorf("%d bytes too many, %v", len(rest), err)
	}
}

func TestASocketAsOutputGetsAllOfIt(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs") //nolint:gosec // fds are small
	defer ours.Close()
	cmd := exec.Command(wrapper, "run", "--", "sh", "-c", "seq 1 200000; echo end >&2; exit 3")
	cmd.Env, cmd.Stdout, cmd.Stderr = quiet(), theirs, theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	b, err := io.ReadAll(ours)
	_ = cmd.Wait()
	if err != nil || len(b) != 1288895+4 || !bytes.HasSuffix(b, []byte("\n200000\nend\n")) || status(cmd.ProcessState) != 3 {
		t.Errorf("%d bytes, %v, exit %d", len(b), err, status(cmd.ProcessState))
	}
}
