// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// helpListen listens, says where, and holds on until standard input ends. An heir gets the socket and the rest of its
// parent's life.
func helpListen(network, address string, heir bool) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	l, err := config.Listen(context.Background(), network, address)
	if err != nil {
		return err
	}
	pid := os.Getpid()
	if heir {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Stdin, cmd.ExtraFiles = os.Stdin, []*os.File{f}
		if err := cmd.Start(); err != nil {
			return err
		}
		pid = cmd.Process.Pid
		defer func() { _ = cmd.Process.Release() }()
	}
	fmt.Println(pid, l.Addr())
	if heir {
		return nil
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// helpAsk prints whose a socket is.
func helpAsk(network, address string, numbers []string) error {
	pids := map[int]bool{}
	for _, n := range numbers {
		pid, err := strconv.Atoi(n)
		if err != nil {
			return err
		}
		pids[pid] = true
	}
	c, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println(NewSockets().Owner(c, pids))
	return nil
}

// listen starts a process that listens, behind a command that prepares where it runs.
func listen(t *testing.T, network, address string, prepare ...string) (pid int, at string) {
	t.Helper()
	words := append(append([]string{}, prepare...), bin+"/s5cmd", network)
	words = append(words, strings.Fields(address)...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env, cmd.Stderr = append(os.Environ(), roleEnv+"=listen"), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	number, at, _ := strings.Cut(strings.TrimSpace(line), " ")
	if pid, err = strconv.Atoi(number); err != nil {
		t.Fatal(err)
	}
	return pid, at
}

func owner(t *testing.T, s *Sockets, network, address string, pids ...int) Owner {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ours := map[int]bool{}
	for _, pid := range pids {
		ours[pid] = true
	}
	return s.Owner(c, ours)
}

func at(host, address string) string {
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort(host, port)
}

func TestASocketBelongsToWhomeverHasItOpen(t *testing.T) {
	s := NewSockets()
	ours, all := listen(t, "tcp", "[::]:0")
	other, own := listen(t, "tcp4", "127.0.0.1:0")
	child, inherited := listen(t, "tcp4", "127.0.0.1:0 heir")
	_, shared := listen(t, "tcp4", "127.0.0.1:0")
	sharer, _ := listen(t, "tcp4", shared)
	v4, split := listen(t, "tcp4", "0.0.0.0:0")
	v6, _ := listen(t, "tcp6", at("::", split))
	for name, c := range map[string]struct {
		address string
		pids    []int
		want    Owner
	}{
		"a server on all addresses, asked by IPv4": {at("127.0.0.1", all), []int{other, ours}, Ours},
		"a server on all addresses, asked by IPv6": {at("::1", all), []int{ours}, Ours},
		"a neighbour":                                          {own, []int{ours}, Others},
		"nobody of ours is left":                               {own, []int{}, Others},
		"somebody of ours has ended":                           {own, []int{other, 1 << 22}, Ours},
		"the child of one who listened":                        {inherited, []int{child}, Ours},
		"one socket of two that share a port":                  {shared, []int{sharer}, Others},
		"a neighbour on IPv4 beside ours on IPv6, asked by 4":  {at("127.0.0.1", split), []int{v6}, Others},
		"a neighbour on IPv4 beside ours on IPv6, asked by 6":  {at("::1", split), []int{v6}, Ours},
		"a neighbour on IPv6 beside ours on IPv4, asked by 4":  {at("127.0.0.1", split), []int{v4}, Ours},
		"a neighbour on IPv6 beside ours on IPv4, asked by 6":  {at("::1", split), []int{v4}, Others},
		"both of two that listen at the same number are known": {at("::1", split), []int{v4, v6}, Ours},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time it may be remembered
				if got := owner(t, s, "tcp", c.address, c.pids...); got != c.want {
					t.Errorf("%v, want %v", got, c.want)
				}
			}
		})
	}
	c, err := net.Dial("tcp", own)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := s.Owner(c, nil); got != Unknown {
		t.Errorf("where no process can be seen: %v", got)
	}
}

func TestAnotherContainersSocketIsNotOurs(t *testing.T) {
	privileged(t)
	path := filepath.Join(t.TempDir(), "socket")
	prepare := []string{"unshare", "--pid", "--fork", "--kill-child", "--"}
	_, tcp := listen(t, "tcp", "127.0.0.1:0", prepare...)
	ours := []int{os.Getpid()}
	if got := owner(t, NewSockets(), "tcp", tcp, ours...); got != Others {
		t.Errorf("TCP: %v", got)
	}
	listen(t, "unix", path, prepare...)
	if got := owner(t, NewSockets(), "unix", path, ours...); got != Others {
		t.Errorf("Unix: %v", got)
	}
}

func TestAUnixSocketBelongsToWhoeverListensAtIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	pid, _ := listen(t, "unix", path)
	for want, pids := range map[Owner][]int{Ours: {pid}, Others: {os.Getpid()}} {
		if got := owner(t, NewSockets(), "unix", path, pids...); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestWhatCannotBeSeenIsNobodys(t *testing.T) {
	privileged(t)
	pid, address := listen(t, "tcp", "127.0.0.1:0")
	ours, own := listen(t, "tcp", "127.0.0.1:0", strings.Fields(strings.TrimPrefix(nobody, "exec "))...)
	for name, c := range map[string]struct {
		address string
		prepare string
		pid     int
		want    Owner
	}{
		"our own user's": {own, nobody, ours, Ours},
		"another user's process, whose files are hidden": {address, nobody, pid, Unknown},
		"somebody else's, while all of ours can be seen": {address, nobody, ours, Others},
		"no /proc":                  {address, "mount -t tmpfs none /proc; exec", pid, Unknown},
		"a /proc that hides others": {address, "mount -t proc -o hidepid=2 proc /proc; " + nobody, ours, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("unshare", "--mount", "--", "sh", "-c", c.prepare+` "$@"`, "sh", bin+"/s5cmd", "tcp", c.address, strconv.Itoa(c.pid))
			cmd.Env, cmd.Stderr = append(os.Environ(), roleEnv+"=ask"), os.Stderr
			out, err := cmd.Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != strconv.Itoa(int(c.want)) {
				t.Errorf("%q, want %d: %v", got, c.want, err)
			}
		})
	}
}

func TestListeningSocketsAreReadAsTheKernelPrintsThem(t *testing.T) {
	word := func(b ...byte) string { return fmt.Sprintf("%08X", binary.NativeEndian.Uint32(b)) }
	v4 := word(127, 0, 0, 1) + ":1F90"
	v6 := word(0, 0, 0, 0) + word(0, 0, 0, 0) + word(0, 0, 255, 255) + word(10, 0, 0, 7) + ":1388"
	const rest = " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
	table := "  sl  local_address rem_address   st\n" +
		"   0: " + v4 + rest + "41 1 0 100 0 0 10 0\n" +
		"   1: nonsense" + rest + "42 1\n" +
		"   2: " + v6 + rest + "43 1\n" +
		"   3: " + v4 + strings.Replace(rest, " 0A ", " 01 ", 1) + "44 1\n" +
		"   4: " + v4 + rest + "45 1\n"
	var got []string
	for l := range listening(strings.NewReader(table)) {
		got = append(got, l.address.String()+" "+l.inode)
	}
	if want := "127.0.0.1:8080 41,[::ffff:10.0.0.7]:5000 43"; strings.Join(got, ",") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzSocketAddressesNeverPanic(f *testing.F) {
	f.Add("0100007F:1F90")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = parseSocketAddress(s) })
}
