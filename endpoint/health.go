// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/engine"
)

// healthURL is where the readiness probe, else the startup probe, asks, as seen from inside the container. Probes that tell
// less than an engine does leave it to the wrapper, which sees the engine's real arguments: tcpSocket, since a port may be
// open long before anybody answers, and exec.
func healthURL(pod *Pod, c *Container, engineName string) string {
	known := engine.ByName(engineName) != nil
	for _, probe := range [...]*Probe{c.ReadinessProbe, c.StartupProbe} {
		if probe == nil {
			continue
		}
		if strings.HasPrefix(probe.path(), istioPrefix) {
			probe = istioOriginal(&pod.Spec, probe.path())
		}
		if a := probe.address(c.Ports, known); a != (engine.Address{}) {
			return a.String()
		}
	}
	return ""
}

// address is where a probe asks; empty if that is elsewhere or not to be told.
func (p *Probe) address(names []Port, known bool) engine.Address {
	a := engine.Address{}
	switch {
	case p.HTTPGet != nil && local(p.HTTPGet.Host):
		a = engine.Address{Scheme: strings.ToLower(cmp.Or(p.HTTPGet.Scheme, "http")), Port: portNumber(p.HTTPGet.Port, names)}
		a.Path, _, _ = strings.Cut(p.HTTPGet.Path, "?") // a query may hold a token
		if !strings.HasPrefix(a.Path, "/") {
			a.Path = "/" + a.Path
		}
	case p.GRPC != nil:
		a = engine.Address{Scheme: "grpc", Port: p.GRPC.Port, Path: p.GRPC.Service}
	case p.TCPSocket != nil && local(p.TCPSocket.Host) && !known:
		a = engine.Address{Scheme: "tcp", Port: portNumber(p.TCPSocket.Port, names)}
	case p.Exec != nil && !known:
		return executed(p.Exec.Command)
	}
	if a.Port < 1 || a.Port >= 1<<16 {
		return engine.Address{}
	}
	return a
}

func (p *Probe) path() string {
	if p.HTTPGet == nil {
		return ""
	}
	return p.HTTPGet.Path
}

// local tells the container's own addresses from somebody else's health.
func local(host string) bool { return host == "" || host == "localhost" || host == "127.0.0.1" }

// ownURL is a URL of the container's own in a command such as `curl -f http://localhost:8080/health || exit 1`.
var ownURL = regexp.MustCompile(`https?://(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?`)

// executed is the one URL that a probe's command asks.
func executed(command []string) engine.Address {
	urls := ownURL.FindAllString(strings.Join(command, " "), 2)
	if len(urls) != 1 {
		return engine.Address{}
	}
	a, err := engine.ParseAddress(urls[0])
	if err != nil {
		return engine.Address{}
	}
	return a
}

func portNumber(raw json.RawMessage, ports []Port) int {
	if n, err := strconv.Atoi(strings.Trim(string(raw), `"`)); err == nil {
		return n
	}
	name := strings.Trim(string(raw), `"`)
	for _, p := range ports {
		if p.Name == name && name != "" {
			return int(p.ContainerPort)
		}
	}
	return 0
}

// istioPrefix begins the path of a probe that Istio has turned to its sidecar, which asks the container in the kubelet's
// place: https://istio.io/latest/docs/ops/configuration/mesh/app-health-check/.
const istioPrefix = "/app-health/"

// istioOriginal is such a probe as it was, from the sidecar's variable. The sidecar's answer is none of the container's, so
// without that there is nothing to ask.
func istioOriginal(spec *PodSpec, path string) *Probe {
	for _, c := range spec.All() {
		probes := map[string]*Probe{}
		value := c.Literal("ISTIO_KUBE_APP_PROBERS")
		if value != "" && json.Unmarshal([]byte(value), &probes) == nil && probes[path] != nil {
			return probes[path]
		}
	}
	return &Probe{}
}
