// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var evictions = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "coldtrace_admission_connections_evicted_total",
	Help: "Connections that were closed because there were too many, those without a whole request first, of who has most of them.",
})

// connections bounds how many there are. When there are too many, one that has not sent a whole header goes: the oldest of
// the address that has most of them, so that whoever opens a thousand loses one of their own. Then the one that has asked
// nothing for longest. Who holds connections open can't keep an API server out.
type connections struct {
	most int
	last atomic.Int64 // when one came, in Unix nanoseconds

	mu     sync.Mutex
	open   map[net.Conn]*connection
	silent *list.List // that have asked nothing yet, oldest first
	asked  *list.List // the others, longest ago first
	from   map[string]int
}

// connection is in one of the lists.
type connection struct {
	conn net.Conn
	host string // that it comes from
	at   *list.Element
	in   *list.List
	busy bool // a handler works for it
}

func newConnections(most int) *connections {
	return &connections{most: most, open: map[net.Conn]*connection{}, silent: list.New(), asked: list.New(), from: map[string]int{}}
}

type connectionKey struct{}

// accept is for http.Server's ConnContext.
func (c *connections) accept(ctx context.Context, conn net.Conn) context.Context {
	c.last.Store(time.Now().UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.most {
		c.evict()
	}
	n := &connection{conn: conn, host: conn.RemoteAddr().String(), in: c.silent}
	if host, _, err := net.SplitHostPort(n.host); err == nil {
		n.host = host
	}
	n.at = c.silent.PushBack(n)
	c.from[n.host]++
	c.open[conn] = n
	return context.WithValue(ctx, connectionKey{}, n)
}

// evict closes one. The caller holds the lock.
func (c *connections) evict() {
	most := 0
	for _, n := range c.from {
		most = max(most, n)
	}
	for _, l := range []*list.List{c.silent, c.asked} {
		for e := l.Front(); e != nil; e = e.Next() {
			n := e.Value.(*connection) //nolint:forcetypeassert // the lists hold nothing else
			if n.busy || l == c.silent && c.from[n.host] < most {
				continue
			}
			c.forget(n)
			evictions.Inc()
			conn := n.conn
			if t, ok := conn.(*tls.Conn); ok {
				conn = t.NetConn() // without the farewell, which can take seconds
			}
			_ = conn.Close() // it is to be gone; http.Server sees that it is
			return
		}
	}
}

func (c *connections) forget(n *connection) {
	c.leave(n)
	delete(c.open, n.conn)
}

// leave takes a connection out of its list.
func (c *connections) leave(n *connection) {
	n.in.Remove(n.at)
	if n.in != c.silent {
		return
	}
	if c.from[n.host]--; c.from[n.host] == 0 {
		delete(c.from, n.host)
	}
}

// state is for http.Server's ConnState.
func (c *connections) state(conn net.Conn, s http.ConnState) {
	if s != http.StateClosed && s != http.StateHijacked {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.open[conn]; n != nil {
		c.forget(n)
	}
}

// serving notes who has sent a whole header.
func (c *connections) serving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			c.busy(n, true)
			defer c.busy(n, false)
		}
		next.ServeHTTP(w, r)
	})
}

func (c *connections) busy(n *connection, busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.busy = busy
	if c.open[n.conn] != n {
		return
	}
	c.leave(n)
	n.in, n.at = c.asked, c.asked.PushBack(n)
}
