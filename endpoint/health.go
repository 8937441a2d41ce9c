// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/coldtrace/coldtrace/engine"
)

// healthURL is where the readiness probe, else the startup probe, asks, as seen from inside the container. Probes that tell
// less than an engine does leave it to the wrapper, which sees the engine's real arguments: tcpSocket, since a port may be
// open long before anybody answers, and exec.
func healthURL(pod *Pod, c *Container, engineName string) string {
	known := engine.ByName(engineName) != nil
	for _, probe := range [...]*corev1.Probe{c.ReadinessProbe, c.StartupProbe} {
		if probe == nil {
			continue
		}
		if get := probe.HTTPGet; get != nil && strings.HasPrefix(get.Path, istioPrefix) {
			probe = istioOriginal(&pod.Spec, get.Path)
		}
		if a := asked(probe, c.Ports, known); a != (engine.Address{}) {
			return a.String()
		}
	}
	return ""
}

// asked is where a probe asks; empty if that is elsewhere or not to be told.
func asked(p *corev1.Probe, names []corev1.ContainerPort, known bool) engine.Address {
	a := engine.Address{}
	switch {
	case p.HTTPGet != nil && local(p.HTTPGet.Host):
		a = engine.Address{Scheme: strings.ToLower(string(cmp.Or(p.HTTPGet.Scheme, corev1.URISchemeHTTP))), Port: portNumber(p.HTTPGet.Port, names)}
		a.Path, _, _ = strings.Cut(p.HTTPGet.Path, "?") // a query may hold a token
		if !strings.HasPrefix(a.Path, "/") {
			a.Path = "/" + a.Path
		}
	case p.GRPC != nil:
		a = engine.Address{Scheme: "grpc", Port: int(p.GRPC.Port), Path: value(p.GRPC.Service)}
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

// portNumber is a probe's port, which may be the name of one of the container's, or a number in quotes; 0: there is none.
func portNumber(port intstr.IntOrString, ports []corev1.ContainerPort) int {
	if port.Type == intstr.Int || number(port.StrVal) > 0 {
		return port.IntValue()
	}
	i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal && p.Name != "" })
	if i < 0 {
		return 0
	}
	return int(ports[i].ContainerPort)
}

// istioPrefix begins the path of a probe that Istio has turned to its sidecar, which asks the container in the kubelet's
// place: https://istio.io/latest/docs/ops/configuration/mesh/app-health-check/.
const istioPrefix = "/app-health/"

// istioOriginal is such a probe as it was, from the sidecar's variable. The sidecar's answer is none of the container's, so
// without that there is nothing to ask.
func istioOriginal(spec *PodSpec, path string) *corev1.Probe {
	for _, c := range spec.All() {
		probes := map[string]*corev1.Probe{}
		value := c.Literal("ISTIO_KUBE_APP_PROBERS")
		if value != "" && json.Unmarshal([]byte(value), &probes) == nil && probes[path] != nil {
			return probes[path]
		}
	}
	return &corev1.Probe{}
}
