// SPDX-License-Identifier: Apache-2.0

// Package freeport gives ports to servers that tests start later.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

var (
	mu    sync.Mutex
	taken []net.PacketConn
)

// Find is a TCP port at which nobody listens, on any address, and that nobody else is given while this process lives.
//
// One that the kernel chose (port 0) and that is closed again may be another's a moment later: a listener's that chooses next, or
// a client's, since tests connect all the time. So it lies below Linux's ip_local_port_range (32768) and Kubernetes' node ports
// (30000), and the process keeps the UDP port of that number, which tells the other processes that ask here.
func Find() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		p := 20_000 + rand.IntN(10_000)
		mine, err := net.ListenPacket("udp", "127.0.0.1:"+strconv.Itoa(p)) //nolint:noctx // at once
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", ":"+strconv.Itoa(p)) //nolint:noctx // at once
		if err != nil {
			_ = mine.Close()
			continue
		}
		taken = append(taken, mine)
		return p, l.Close()
	}
	return 0, errors.New("no port of 20000 to 29999 is free")
}

// Of is a free port for a test.
func Of(t testing.TB) string {
	t.Helper()
	p, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(p)
}
