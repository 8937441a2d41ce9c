// SPDX-License-Identifier: Apache-2.0

package endpoint

import "testing"

func TestHealthIsWhatTheReadinessProbeAsks(t *testing.T) {
	for name, c := range map[string]struct{ container, want string }{
		"a number":           {`readinessProbe: {httpGet: {path: /health, port: 5005}}`, "http://localhost:5005/health"},
		"a name":             {`{ports: [{name: a, containerPort: 1}, {name: http, containerPort: 80}], readinessProbe: {httpGet: {path: /h, port: http}}}`, "http://localhost:80/h"},
		"a number in quotes": {`readinessProbe: {httpGet: {path: /health, port: "5005"}}`, "http://localhost:5005/health"},
		"a name not there":   {`readinessProbe: {httpGet: {path: /h, port: http}}`, ""},
		"HTTPS":              {`readinessProbe: {httpGet: {path: /h, port: 1, scheme: HTTPS}}`, "https://localhost:1/h"},
		"no path":            {`readinessProbe: {httpGet: {port: 1}}`, "http://localhost:1/"},
		"a query stays home": {`readinessProbe: {httpGet: {path: "/h?token=x", port: 1}}`, "http://localhost:1/h"},
		"another host":       {`readinessProbe: {httpGet: {path: /h, port: 1, host: example.com}}`, ""},
		"the startup probe":  {`startupProbe: {httpGet: {path: /s, port: 2}}`, "http://localhost:2/s"},
		"this host":          {`readinessProbe: {httpGet: {path: /h, port: 1, host: 127.0.0.1}}`, "http://localhost:1/h"},
		"a port too large":   {`readinessProbe: {httpGet: {path: /h, port: 65536}}`, ""},
		"gRPC":               {`readinessProbe: {grpc: {port: 50051}}`, "grpc://localhost:50051"},
		"gRPC, one service":  {`readinessProbe: {grpc: {port: 50051, service: model}}`, "grpc://localhost:50051/model"},
		"an engine's gRPC":   {`{command: [vllm, serve, m, --grpc], readinessProbe: {grpc: {port: 50051}}}`, "grpc://localhost:50051"},
		"an open port":       {`readinessProbe: {tcpSocket: {port: 8000}}`, "tcp://localhost:8000"},
		"a named open port":  {`{ports: [{name: http, containerPort: 80}], readinessProbe: {tcpSocket: {port: http}}}`, "tcp://localhost:80"},
		"another's port":     {`readinessProbe: {tcpSocket: {port: 8000, host: example.com}}`, ""},
		"an engine's port":   {`{command: [vllm, serve, m], readinessProbe: {tcpSocket: {port: 8000}}}`, ""},
		"a program":          {`readinessProbe: {exec: {command: ["true"]}}`, ""},
		"curl":               {`readinessProbe: {exec: {command: [curl, -sf, "http://localhost:8080/ping"]}}`, "http://localhost:8080/ping"},
		"curl in a script":   {`readinessProbe: {exec: {command: [sh, -c, "curl -f 'http://127.0.0.1:8080/ping?key=x' || exit 1"]}}`, "http://localhost:8080/ping"},
		"two questions":      {`readinessProbe: {exec: {command: [sh, -c, "curl localhost && curl http://[::1]:1/a && curl http://0.0.0.0:2/b"]}}`, ""},
		"curl elsewhere":     {`readinessProbe: {exec: {command: [curl, "http://example.com:80/"]}}`, ""},
		"an engine's curl":   {`{command: [vllm, serve, m, --uds, /s], readinessProbe: {exec: {command: [curl, --unix-socket, /s, "http://localhost/health"]}}}`, ""},
		"exec, then HTTP":    {`{readinessProbe: {exec: {command: ["true"]}}, startupProbe: {httpGet: {path: /s, port: 2}}}`, "http://localhost:2/s"},
		"no probe":           {`image: a`, ""},
	} {
		if got := identify(t, c.container).HealthURL; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAProbeThatIstioTookIsAskedAsItWas(t *testing.T) {
	const probed = `{name: main, readinessProbe: {httpGet: {path: /app-health/main/readyz, port: 15020}}}`
	sidecar := func(value string) string {
		return "{name: istio-proxy, env: [{name: ISTIO_KUBE_APP_PROBERS, value: '" + value + "'}]}"
	}
	for name, c := range map[string]struct {
		value string
		init  bool
		want  string
	}{
		"HTTP":           {`{"/app-health/main/readyz":{"httpGet":{"path":"/health","port":8000,"scheme":"HTTP"},"timeoutSeconds":1}}`, false, "http://localhost:8000/health"},
		"gRPC":           {`{"/app-health/main/readyz":{"grpc":{"port":9000,"service":null}}}`, false, "grpc://localhost:9000"},
		"native sidecar": {`{"/app-health/main/readyz":{"httpGet":{"path":"/health","port":8000}}}`, true, "http://localhost:8000/health"},
		"another's":      {`{"/app-health/web/readyz":{"httpGet":{"path":"/","port":80}}}`, false, ""},
		"unreadable":     {`{`, false, ""},
	} {
		pod := &Pod{Spec: PodSpec{Containers: []Container{*container(t, probed)}}}
		if proxy := *container(t, sidecar(c.value)); c.init {
			pod.Spec.InitContainers = []Container{proxy}
		} else {
			pod.Spec.Containers = append(pod.Spec.Containers, proxy)
		}
		if got := Identify(pod, Options{Declared: Declared{Container: "main"}}).HealthURL; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
