// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Owner is whose a listening socket is.
type Owner int

// Owners. Unknown: the processes, their files or the sockets cannot be seen, so it may be anybody's.
const (
	Unknown Owner = iota
	Ours
	Others
)

// Sockets tells who listens at the other end of a connection within this network namespace. It is for one caller at a time.
type Sockets struct {
	Shared bool // several listened where Owner looked last

	root string
	last struct { // of the socket that was ours when it was last asked
		pid        int
		link, name string
	}
}

// NewSockets reads the sockets of this process's network namespace: those that it can connect to.
func NewSockets() *Sockets { return &Sockets{root: "/proc"} }

// Owner tells whether the process that listens at the other end of a connection is one of these. Nil: nobody knows who
// they are.
func (s *Sockets) Owner(c net.Conn, pids map[int]bool) Owner {
	if pids == nil {
		return Unknown
	}
	if u, ok := c.(*net.UnixConn); ok {
		return peerOwner(u, pids)
	}
	remote, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return Unknown
	}
	inodes := s.listeners(netip.AddrPortFrom(remote.Addr().Unmap().WithZone(""), remote.Port()))
	s.Shared = len(inodes) > 1
	if len(inodes) == 0 {
		return Unknown
	}
	for _, inode := range inodes {
		// Of several that share a port, any may be the one that answers.
		if o := s.holder(inode, pids); o != Ours {
			return o
		}
	}
	return Ours
}

// At are the addresses of this machine where somebody listens on a port: those that a socket is bound to by name.
func (s *Sockets) At(port int) (out []string) {
	s.each(func(l listener) {
		if int(l.address.Port()) == port && !l.address.Addr().IsUnspecified() {
			out = append(out, l.address.Addr().Unmap().String())
		}
	})
	return out
}

// each passes on all listening sockets.
func (s *Sockets) each(f func(listener)) {
	for _, table := range [...]string{"/self/net/tcp", "/self/net/tcp6"} {
		t, err := os.Open(s.root + table)
		if err != nil {
			continue
		}
		for l := range listening(t) {
			f(l)
		}
		_ = t.Close()
	}
}

// listeners are the inodes of the sockets that get the connections to an address: those bound to it, else those bound to all
// addresses of its family, else those of IPv6 that take IPv4 as well.
func (s *Sockets) listeners(to netip.AddrPort) []string {
	const bound, all, mapped = 0, 1, 2
	var found [3][]string
	s.each(func(l listener) {
		switch a := l.address.Addr().Unmap(); {
		case l.address.Port() != to.Port():
		case a == to.Addr():
			found[bound] = append(found[bound], l.inode)
		case a.IsUnspecified() && a.Is4() == to.Addr().Is4():
			found[all] = append(found[all], l.inode)
		case a.IsUnspecified() && a.Is6():
			found[mapped] = append(found[mapped], l.inode)
		}
	})
	for _, inodes := range found {
		if len(inodes) > 0 {
			return inodes
		}
	}
	return nil
}

type listener struct {
	address netip.AddrPort
	inode   string
}

// listening reads the listening sockets of /proc/net/tcp or tcp6. The kernel lists them before all others, of which a host's
// network has tens of thousands, so the first other one is the end.
func listening(table io.Reader) func(func(listener) bool) {
	return func(yield func(listener) bool) {
		lines := bufio.NewScanner(table)
		lines.Scan() // the heading
		for lines.Scan() {
			f := bytes.Fields(lines.Bytes())
			if len(f) < 10 || string(f[3]) != "0A" {
				return
			}
			address, err := parseSocketAddress(string(f[1]))
			if err == nil && !yield(listener{address, string(f[9])}) {
				return
			}
		}
	}
}

// parseSocketAddress reads 0100007F:1F90: words of the address as this machine holds them, and the port.
func parseSocketAddress(s string) (netip.AddrPort, error) {
	words, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(words)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil || !ok {
		return netip.AddrPort{}, errors.New("no address of a socket")
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// holder looks for a socket among the open files of processes.
func (s *Sockets) holder(inode string, pids map[int]bool) Owner {
	name := "socket:[" + inode + "]"
	if s.last.name == name && pids[s.last.pid] {
		if to, err := os.Readlink(s.last.link); err == nil && to == name {
			return Ours
		}
	}
	hidden := false
	for pid := range pids {
		dir := s.root + "/" + strconv.Itoa(pid) + "/fd"
		found, err := eachFile(dir, func(link string) bool {
			to, err := os.Readlink(link)
			if err == nil && to == name {
				s.last.pid, s.last.link, s.last.name = pid, link, name
				return true
			}
			// Root may list the files of a process that changed its user, and without CAP_SYS_PTRACE not see what they are.
			hidden = hidden || errors.Is(err, fs.ErrPermission)
			return false
		})
		if found {
			return Ours
		}
		hidden = hidden || errors.Is(err, fs.ErrPermission)
	}
	if hidden || s.hides() {
		return Unknown
	}
	return Others
}

// eachFile calls f for each file in a folder until it says that it found it. A server may have thousands open.
func eachFile(dir string, f func(path string) bool) (found bool, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(256)
		for _, n := range names {
			if f(dir + "/" + n) {
				return true, nil
			}
		}
		if err != nil {
			return false, err // io.EOF, or it is gone
		}
	}
}

// hides tells a /proc that hides the processes of other users: a server that became one of them is in nobody's sight.
func (s *Sockets) hides() bool {
	mounts, err := os.ReadFile(s.root + "/self/mountinfo")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " "+s.root+" ") && strings.Contains(line, "hidepid=") {
			return true
		}
	}
	return false
}

// peerOwner asks the kernel who listens at a Unix socket. Nobody in this PID namespace has the number 0.
func peerOwner(c *net.UnixConn, pids map[int]bool) Owner {
	raw, err := c.SyscallConn()
	if err != nil {
		return Unknown
	}
	var peer *unix.Ucred
	if e := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil || err != nil { //nolint:gosec // fds are small
		return Unknown
	}
	switch pid := int(peer.Pid); {
	case pids[pid]:
		return Ours
	case pid != 0 && unix.Kill(pid, 0) == unix.ESRCH:
		return Unknown // who listened has ended, and left the socket to somebody
	}
	return Others
}
