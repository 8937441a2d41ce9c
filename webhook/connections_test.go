// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net"
	"net/http"
	"testing"
)

// opened is a connection as http.Server sees it.
type opened struct {
	conn net.Conn
	ctx  context.Context //nolint:containedctx // it stands for the one http.Server keeps
	peer net.Conn
}

// elsewhere is a connection from an address of its own.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7} }

func TestWhoHasMostSilentConnectionsLosesOne(t *testing.T) {
	c := newConnections(3)
	var all []net.Conn
	open := func(from func(net.Conn) net.Conn) {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		conn := from(a)
		c.accept(t.Context(), conn)
		all = append(all, conn)
	}
	other, same := func(a net.Conn) net.Conn { return elsewhere{a} }, func(a net.Conn) net.Conn { return a }
	open(other)
	for range 4 {
		open(same)
	}
	if c.open[all[0]] == nil || c.open[all[1]] != nil || c.open[all[2]] != nil || len(c.open) != 3 {
		t.Errorf("%d are open, the one from elsewhere: %t", len(c.open), c.open[all[0]] != nil)
	}
	for _, conn := range all {
		c.state(conn, http.StateClosed)
	}
	if len(c.open) != 0 {
		t.Errorf("closed connections are still counted: %v", c.open)
	}
}

func TestWhoAsksIsKeptAndTheOldestSilentConnectionGoes(t *testing.T) {
	c := newConnections(3)
	open := func() opened {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		return opened{a, c.accept(t.Context(), a), b}
	}
	ask := func(o opened, during func()) {
		r, err := http.NewRequestWithContext(o.ctx, http.MethodPost, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		c.serving(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { during() })).ServeHTTP(nil, r)
	}
	gone := func(o opened) bool { return c.open[o.conn] == nil }

	server := open()
	ask(server, func() {})
	first, second := open(), open()
	third := open()
	if gone(server) || !gone(first) || gone(second) || gone(third) {
		t.Error("the oldest that is silent should have gone")
	}
	if _, err := first.peer.Read(make([]byte, 1)); err == nil {
		t.Error("it was not closed")
	}
	ask(second, func() {})
	ask(server, func() {})
	ask(third, func() {
		open()
		if gone(server) || !gone(second) || gone(third) {
			t.Error("without silent ones, the one that asked longest ago should have gone")
		}
	})
	c.state(server.conn, http.StateClosed)
	if !gone(server) || len(c.open) != 2 {
		t.Errorf("%d open", len(c.open))
	}
}
