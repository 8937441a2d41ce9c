// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// load creates endpoint pods at a steady rate, and deletes them again, until it is stopped.
type load struct {
	namespace string
	created   atomic.Int64
	refused   atomic.Int64 // the webhook could not be called, and failurePolicy is Fail
	bare      atomic.Int64 // created without being injected
	away      atomic.Int64 // the API server itself was not there

	cancel   context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	refusals []string // their texts
}

// startLoad begins; the rate is per second.
func startLoad(t *testing.T, namespace string, rate int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{namespace: namespace, cancel: cancel}
	l.wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.wg.Go(func() { l.one(fmt.Sprintf("p-%d", i)) })
			}
		}
	})
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) one(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	pod, err := create(ctx, l.namespace, endpointPod(name), metav1.CreateOptions{})
	switch {
	case err != nil && strings.Contains(err.Error(), "failed calling webhook"):
		l.refused.Add(1)
		l.mu.Lock()
		l.refusals = append(l.refusals, err.Error())
		l.mu.Unlock()
		return
	case err != nil:
		l.away.Add(1)
		return
	}
	l.created.Add(1)
	if !injected(pod) {
		l.bare.Add(1)
	}
	_ = suite.client.CoreV1().Pods(l.namespace).Delete(ctx, name, *metav1.NewDeleteOptions(0)) // a leftover does no harm
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

// settle waits until some more pods were created, so that what was done before has met traffic.
func (l *load) settle(t *testing.T, more int64) {
	t.Helper()
	target := l.created.Load() + more
	eventually(t, 2*time.Minute, "load goes on", func(context.Context) error {
		if n := l.created.Load(); n < target {
			return fmt.Errorf("%d created, %d refused, API server away %d", n, l.refused.Load(), l.away.Load())
		}
		return nil
	})
}

func (l *load) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := ""
	if len(l.refusals) > 0 {
		first = "; the first refusal: " + l.refusals[0]
	}
	return fmt.Sprintf("%d created, %d refused, %d uninjected, %d while the API server was away%s",
		l.created.Load(), l.refused.Load(), l.bare.Load(), l.away.Load(), first)
}

// apiPort is the API server's own port in an error of its webhook client.
var apiPort = regexp.MustCompile(`tcp 127\.0\.0\.1:(\d+)->`)

// unexplained are the refusals that were not on a connection which a killed replica broke.
func (l *load) unexplained(b *balancer) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out, nameless []string
	explained := map[string]bool{}
	for _, text := range l.refusals {
		m := apiPort.FindStringSubmatch(text)
		switch {
		case m != nil && b.brokenByKill(m[1]):
			explained[m[1]] = true
		case strings.Contains(text, "connect: connection reset by peer"):
			nameless = append(nameless, text) // broken before the API server knew its port
		default:
			out = append(out, text)
		}
	}
	// The balancer alone resets, so each of those is one of the connections that are left.
	if left := b.brokenByKills() - len(explained); len(nameless) > left {
		out = append(out, nameless[left:]...)
	}
	return out
}
