// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	engines "github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/wrapper/process"
)

// Cadence of asking for health.
const (
	healthFirst  = 100 * time.Millisecond
	healthLast   = 2 * time.Second
	healthUrgent = 50 * time.Millisecond // for a while after the engine said that it is initialised
	urgentFor    = 5 * time.Second
	healthWait   = time.Second // for one answer
	// Where several sockets share a port the kernel chooses whose a question is, and that server may not be up yet (vLLM with
	// two API servers). So many questions wait for healthFirst only: the next may find one that is.
	impatient = 10
	// elsewhere is every how many questions the table of sockets is looked up for other addresses: where nobody is connected the
	// kernel takes 3 ms to find that out.
	elsewhere = 10
)

// anyCertificate is what the kubelet accepts as well.
var anyCertificate = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // of a server in its own pod

// prober asks at one address whether the server is ready. It looks who listens before it says anything: a server's log has
// a line for each question, and no neighbour's answer is of interest.
type prober struct {
	engines.Address
	network string
	hosts   []string // what to connect to, until one answers
	sockets *process.Sockets
	conn    net.Conn // of the question under way
	client  *http.Client

	asked, unanswered int // questions
}

// answer is what asking once brought.
type answer struct {
	healthy bool
	owner   process.Owner // of the socket that answered. Others and not healthy: nobody else was there to be asked
	denied  bool          // a probe may have a secret that stays where it is
}

func newProber(a engines.Address) *prober {
	p := &prober{Address: a, network: "tcp", sockets: process.NewSockets()}
	if a.Socket != "" {
		p.network, p.hosts = "unix", []string{a.Socket}
	} else {
		for _, ip := range ownAddresses() {
			p.hosts = append(p.hosts, net.JoinHostPort(ip, strconv.Itoa(a.Port)))
		}
	}
	p.client = &http.Client{
		Transport: &http.Transport{
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return p.conn, nil },
			TLSClientConfig:   anyCertificate,
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p
}

// maxAddresses bounds how many of a machine's addresses are tried: a pod on its node's network has many.
const maxAddresses = 16

// ownAddresses are the loopback ones, then the others: a server may listen at its pod's alone, where the kubelet asks it.
func ownAddresses() []string {
	all := []string{"127.0.0.1", "::1"}
	addresses, _ := net.InterfaceAddrs() // none: then those two
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && len(all) < maxAddresses {
			all = append(all, n.IP.String())
		}
	}
	return all
}

// ask asks once, and only where the answer would count. pids are the command's processes, nil if they cannot be seen.
func (p *prober) ask(ctx context.Context, pids func() map[int]bool, counts func(process.Owner) bool) (last answer) {
	ctx, cancel := context.WithTimeout(ctx, healthWait)
	defer cancel()
	for _, host := range p.hosts {
		if p.askAt(ctx, host, pids, counts, &last) {
			return last
		}
	}
	p.asked++
	if p.network == "tcp" && p.asked%elsewhere == 1 { // 127.0.0.2, or an address that came later
		for _, ip := range p.sockets.At(p.Port) {
			host := net.JoinHostPort(ip, strconv.Itoa(p.Port))
			if !slices.Contains(p.hosts, host) && p.askAt(ctx, host, pids, counts, &last) {
				break
			}
		}
	}
	return last
}

// askAt reports whether there was an answer, good or bad.
func (p *prober) askAt(ctx context.Context, host string, pids func() map[int]bool, counts func(process.Owner) bool, last *answer) (answered bool) {
	conn, err := new(net.Dialer).DialContext(ctx, p.network, host)
	if err != nil {
		return false
	}
	defer conn.Close()
	last.owner = p.sockets.Owner(conn, pids())
	if !counts(last.owner) {
		return false
	}
	if p.sockets.Shared && p.unanswered < impatient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, healthFirst)
		defer cancel()
	}
	p.conn = conn
	if answered = p.question(ctx, last); !answered {
		p.unanswered++
	}
	return answered
}

// question asks over the open connection, and reports whether there was an answer, good or bad.
func (p *prober) question(ctx context.Context, a *answer) (answered bool) {
	switch p.Scheme {
	case "tcp":
		a.healthy = a.owner == process.Ours
		return true
	case "grpc", "grpcs":
		a.healthy, answered = p.serving(ctx)
		return answered
	}
	host := "localhost"
	if p.Socket == "" {
		host = net.JoinHostPort(host, strconv.Itoa(p.Port))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Scheme+"://"+host+p.Path, http.NoBody)
	if err != nil {
		return false
	}
	req.Header.Set("User-Agent", "coldtrace")
	resp, err := p.client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	a.healthy = resp.StatusCode >= 200 && resp.StatusCode < 400 // as the kubelet judges
	a.denied = resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
	return true
}

// serving asks by gRPC's health protocol, as the kubelet's grpc probes do.
func (p *prober) serving(ctx context.Context) (healthy, answered bool) {
	secure := insecure.NewCredentials()
	if p.Scheme == "grpcs" {
		secure = credentials.NewTLS(anyCertificate)
	}
	conn, err := grpc.NewClient("passthrough:///localhost", grpc.WithTransportCredentials(secure), grpc.WithDisableServiceConfig(),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return p.conn, nil }))
	if err != nil {
		return false, false
	}
	defer conn.Close()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: p.Path})
	if err != nil {
		code := status.Code(err)
		return false, code != codes.Unavailable && code != codes.DeadlineExceeded && code != codes.Canceled
	}
	return resp.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING, true
}

// pace is how long to wait for the next question: a tenth of a second for the first minutes, then less often.
func pace(elapsed, sinceEngine time.Duration, engineReady bool) time.Duration {
	if engineReady && sinceEngine < urgentFor {
		return healthUrgent
	}
	return min(max(healthFirst, elapsed/1000), healthLast)
}
