// SPDX-License-Identifier: Apache-2.0

package webhook

import (
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

	mu   sync.Mutex
	open map[net.Conn]*connection
}

type connection struct {
	conn  net.Conn
	host  string    // that it comes from
	since time.Time // it came, or asked last
	asked bool      // it has sent a whole header
	busy  bool      // a handler works for it
}

func newConnections(most int) *connections {
	return &connections{most: most, open: map[net.Conn]*connection{}}
}

type connectionKey struct{}

// accept is for http.Server's ConnContext.
func (c *connections) accept(ctx context.Context, conn net.Conn) context.Context {
	now := time.Now()
	c.last.Store(now.UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.most {
		c.evict()
	}
	n := &connection{conn: conn, host: conn.RemoteAddr().String(), since: now}
	if host, _, err := net.SplitHostPort(n.host); err == nil {
		n.host = host
	}
	c.open[conn] = n
	return context.WithValue(ctx, connectionKey{}, n)
}

// evict closes one. The caller holds the lock.
func (c *connections) evict() {
	silent, most := map[string]int{}, 0
	for _, n := range c.open {
		if !n.asked {
			silent[n.host]++
			most = max(most, silent[n.host])
		}
	}
	var out *connection
	for _, n := range c.open {
		switch {
		case n.busy, !n.asked && silent[n.host] < most:
		case out == nil, out.asked && !n.asked, out.asked == n.asked && n.since.Before(out.since):
			out = n
		}
	}
	if out == nil {
		return
	}
	delete(c.open, out.conn)
	evictions.Inc()
	conn := out.conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn() // without the farewell, which can take seconds
	}
	_ = conn.Close() // it is to be gone; http.Server sees that it is
}

// state is for http.Server's ConnState.
func (c *connections) state(conn net.Conn, s http.ConnState) {
	if s == http.StateClosed || s == http.StateHijacked {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, conn)
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
	n.since, n.asked, n.busy = time.Now(), true, busy
}
