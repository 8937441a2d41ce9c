// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// endpointLag is how long after a replica ended, or was told to, the balancer still sends connections to it: a Service's
// endpoints follow their pods.
const endpointLag = 500 * time.Millisecond

// balancer stands for a Service and kube-proxy: each new connection goes to one of the ready replicas, and connections
// that exist go on.
type balancer struct {
	url string

	mu    sync.Mutex
	ready []string
	next  int
	hole  bool              // connections are taken and nothing else
	dead  map[string]bool   // replicas that were killed
	lost  map[string]string // connections that a killed or absent replica broke, by the API server's port: whose
}

func newBalancer(t testing.TB) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	b := &balancer{url: "https://localhost:" + port, dead: map[string]bool{}, lost: map[string]string{}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go b.forward(conn)
		}
	}()
	return b
}

func (b *balancer) add(r *replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = append(b.ready, r.webhook)
}

func (b *balancer) remove(r *replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = slices.DeleteFunc(b.ready, func(a string) bool { return a == r.webhook })
}

func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return ""
	}
	b.next++
	return b.ready[b.next%len(b.ready)]
}

// removeLater is remove after the lag.
func (b *balancer) removeLater(r *replica) { time.AfterFunc(endpointLag, func() { b.remove(r) }) }

// swallow makes new connections lead nowhere, as to a node that is gone.
func (b *balancer) swallow(hole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hole = hole
}

func (b *balancer) swallows() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hole
}

// kill ends a replica without a warning; its endpoint stays for the lag.
func (b *balancer) kill(r *replica) {
	b.mu.Lock()
	b.dead[r.webhook] = true
	b.mu.Unlock()
	b.removeLater(r)
	r.kill()
}

func (b *balancer) wasKilled(address string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead[address]
}

// brokenByKill tells if the connection from a port of the API server was to a replica that was killed, and broken by that.
func (b *balancer) brokenByKill(port string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead[b.lost[port]]
}

// brokenByKills counts such connections.
func (b *balancer) brokenByKills() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, replica := range b.lost {
		if b.dead[replica] {
			n++
		}
	}
	return n
}

func (b *balancer) forward(client net.Conn) {
	defer client.Close()
	if b.swallows() {
		_, _ = io.Copy(io.Discard, client)
		return
	}
	address := b.pick()
	if address == "" {
		return
	}
	server, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		b.lose(client, address)
		return
	}
	defer server.Close()
	const fromServer, fromClient = true, false
	done := make(chan bool, 2)
	pipe := func(to, from net.Conn, way bool) {
		_, _ = io.Copy(to, from)
		if tcp, ok := to.(*net.TCPConn); ok && !b.wasKilled(address) {
			_ = tcp.CloseWrite()
		}
		done <- way
	}
	go pipe(client, server, fromServer)
	go pipe(server, client, fromClient)
	if <-done == fromServer && b.wasKilled(address) {
		b.lose(client, address)
		return
	}
	<-done
}

// lose breaks a connection in a way that the API server's error tells its port, and remembers whose it was.
func (b *balancer) lose(client net.Conn, address string) {
	if _, port, err := net.SplitHostPort(client.RemoteAddr().String()); err == nil {
		b.mu.Lock()
		b.lost[port] = address
		b.mu.Unlock()
	}
	if tcp, ok := client.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func randomName() string { return strings.SplitN(uuid.NewString(), "-", 2)[0] }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
