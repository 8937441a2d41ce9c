// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/wrapper/recipe"
)

// Cadence of asking for health.
const (
	healthFirst  = 250 * time.Millisecond
	healthLast   = 2 * time.Second
	healthUrgent = 50 * time.Millisecond // for a while after the engine said that it is initialised
	urgentFor    = 5 * time.Second
	healthWait   = time.Second // for one answer
)

// healthURL is where the server will answer, from its command line and its recipe; empty if there is none.
func healthURL(r *recipe.Recipe, argv []string) string {
	if r == nil || !r.Serves() || r.HealthPath() == "" {
		return ""
	}
	port, scheme := r.DefaultPort(), "http"
	for i, arg := range argv {
		if name, _, _ := strings.Cut(arg, "="); name == "--ssl-certfile" {
			scheme = "https"
		}
		for _, flag := range r.PortFlags() {
			value, joined := strings.CutPrefix(arg, flag+"=")
			if !joined && arg == flag && i+1 < len(argv) {
				value = argv[i+1]
			}
			if n, err := strconv.Atoi(value); err == nil && n > 0 && n < 1<<16 {
				port = n
			}
		}
	}
	if port == 0 {
		return ""
	}
	return scheme + "://localhost:" + strconv.Itoa(port) + r.HealthPath()
}

// prober asks one URL for health, on every loopback address it may mean.
type prober struct {
	urls   []string
	client *http.Client
}

func newProber(raw string) (*prober, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	hosts := []string{u.Hostname()}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "" || u.Hostname() == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		hosts = []string{"127.0.0.1", "::1"}
	}
	p := &prober{client: &http.Client{
		Timeout: healthWait,
		Transport: &http.Transport{ // no proxy, no kept connections, any certificate: as the kubelet asks
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // its own container, by loopback
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, h := range hosts {
		v := *u
		v.Host = h
		if strings.Contains(h, ":") {
			v.Host = "[" + h + "]"
		}
		if u.Port() != "" {
			v.Host = net.JoinHostPort(h, u.Port())
		}
		p.urls = append(p.urls, v.String())
	}
	return p, nil
}

// healthy asks once. Any status that the kubelet takes for success is one.
func (p *prober) healthy(ctx context.Context) bool {
	for _, u := range p.urls {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
		if err != nil {
			continue
		}
		resp, err := p.client.Do(req)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= 200 && resp.StatusCode < 400 {
			return true
		}
	}
	return false
}

// pace is how long to wait for the next question: a quarter of a second for the first minutes, then less often.
func pace(elapsed, sinceEngine time.Duration, engineReady bool) time.Duration {
	if engineReady && sinceEngine < urgentFor {
		return healthUrgent
	}
	return min(max(healthFirst, elapsed/1000), healthLast)
}
