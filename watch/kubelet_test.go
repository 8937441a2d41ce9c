// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// kubelet answers as one does for the logs of containers.
type kubelet struct {
	host string
	port int32

	mu    sync.Mutex
	logs  map[string]string // by NAMESPACE/POD, with a trailing "?previous" for the attempt before
	fault map[string]fault  // by NAMESPACE/POD
	asked map[string]int    // likewise
	known map[string]int    // likewise, when most was called
}

// fault answers a pod's n-th request in its own way, if it reports true.
type fault func(n int, w http.ResponseWriter, r *http.Request, log string) bool

func newKubelet(t testing.TB) *kubelet {
	t.Helper()
	k := &kubelet{logs: map[string]string{}, fault: map[string]fault{}, asked: map[string]int{}, known: map[string]int{}}
	server := httptest.NewTLSServer(k)
	t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	k.host, k.port = host, int32(n) //nolint:gosec // a port
	return k
}

// ServeHTTP answers for /containerLogs/NAMESPACE/POD/CONTAINER.
func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	pod, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/containerLogs/"), "/main")
	key := pod
	if q.Get("previous") == "true" {
		key += "?previous"
	}
	k.mu.Lock()
	log, ok := k.logs[key]
	n, fault := k.asked[pod], k.fault[pod]
	k.asked[pod]++
	k.mu.Unlock()
	log = since(log, q.Get("sinceTime"))
	if limit, err := strconv.Atoi(q.Get("limitBytes")); err == nil {
		log = log[:min(limit, len(log))]
	}
	switch {
	case q.Get("timestamps") != "true":
		http.Error(w, "stamps were not asked for", http.StatusBadRequest)
	case fault != nil && fault(n, w, r, log):
	case !ok && q.Get("previous") == "true":
		http.Error(w, "previous terminated container not found", http.StatusBadRequest)
	case !ok:
		http.Error(w, "there is no such log", http.StatusNotFound)
	default:
		_, _ = w.Write([]byte(log))
	}
}

// since is the part of a log from a time on.
func since(log, stamp string) string {
	from, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return log
	}
	var out strings.Builder
	for line := range strings.Lines(log) {
		first, _, _ := strings.Cut(line, " ")
		if at, err := time.Parse(time.RFC3339Nano, first); err == nil && !at.Before(from) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// requests is how often a pod's log was asked for.
func (k *kubelet) requests(s *scripted) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked[s.key()]
}

// most is how often the log that was asked for most was, since the last call.
func (k *kubelet) most() (most int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for pod, n := range k.asked {
		most = max(most, n-k.known[pod])
	}
	maps.Copy(k.known, k.asked)
	return most
}

func (k *kubelet) fails(s *scripted, f fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault[s.key()] = f
}

func (s *scripted) key() string { return s.pod.Namespace + "/" + s.pod.Name }

// holds replaces what the container wrote.
func (k *kubelet) holds(s *scripted, log string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.logs[s.key()] = log
}

// says is what the container wrote, from a time on, a line each five milliseconds.
func (s *scripted) says(from time.Time, lines ...string) {
	s.wrote("", from, lines...)
}

func (s *scripted) wrote(which string, from time.Time, lines ...string) {
	s.a.logs.mu.Lock()
	defer s.a.logs.mu.Unlock()
	s.a.logs.logs[s.key()+which] += written(from, lines)
}

func written(from time.Time, lines []string) string {
	var out strings.Builder
	for i, text := range lines {
		fmt.Fprintf(&out, "%s %s\n", from.Add(time.Duration(i+1)*5*time.Millisecond).UTC().Format(time.RFC3339Nano), text)
	}
	return out.String()
}

// secret is in lines whose phases are told.
const secret = "hunter2"

// ofSGLang and ofTGI are what these write until they serve, ofBatch what a vLLM without a server does until it works.
var (
	ofSGLang = []string{
		"[2026-03-01 06:00:09] server_args=ServerArgs(model_path='m', api_key='" + secret + "')",
		"[2026-03-01 06:00:18] Load weight begin. avail mem=78.00 GB",
		"[2026-03-01 06:00:40] Load weight end. elapsed=0.01 s, type=M, avail mem=50.00 GB, mem usage=28.00 GB.",
		"[2026-03-01 06:00:56] max_total_num_tokens=100000, chunked_prefill_size=8192, max_prefill_tokens=16384",
		"[2026-03-01 06:00:57] INFO:     Application startup complete.",
		"[2026-03-01 06:01:02] The server is fired up and ready to roll!",
	}
	ofTGI = []string{
		"2026-03-01T06:00:02.000000Z  INFO text_generation_launcher: Args { model_id: \"m\", api_key: Some(\"" + secret + "\") }",
		"2026-03-01T06:00:09.100000Z  INFO shard-manager: text_generation_launcher: Starting shard rank=0",
		"2026-03-01T06:00:39.100000Z  INFO shard-manager: text_generation_launcher: Shard ready in 0.005000000s rank=0",
		"2026-03-01T06:00:39.200000Z  INFO text_generation_launcher: Starting Webserver",
		"2026-03-01T06:00:48.000000Z  INFO text_generation_router_v3: backends/v3/src/lib.rs:137: Setting max batch total tokens to 40000",
		"2026-03-01T06:00:49.000000Z  INFO text_generation_router::server: router/src/server.rs:2337: Connected",
	}
	ofBatch = ofVLLM[2:7]
)

// ofVLLM is what a vLLM writes until it serves.
var ofVLLM = []string{
	"(APIServer pid=1) INFO 03-01 06:00:05 [api_server.py:1] vLLM API server version 0.19.0",
	"(APIServer pid=1) INFO 03-01 06:00:05 [api_server.py:1] args: Namespace(model='m', api_key='" + secret + "')",
	"(EngineCore pid=9) INFO 03-01 06:00:09 [core.py:1] Initializing a V1 LLM engine (v0.19.0) with config: model='m', token='" + secret + "'",
	"(EngineCore pid=9) INFO 03-01 06:00:11 [gpu_model_runner.py:1] Starting to load model " + secret + "...",
	"(EngineCore pid=9) INFO 03-01 06:00:13 [gpu_model_runner.py:1] Model loading took 1.50 GiB memory and 0.003000 seconds",
	"(EngineCore pid=9) INFO 03-01 06:00:20 [monitor.py:1] torch.compile takes 0.004 s in total",
	"(EngineCore pid=9) INFO 03-01 06:00:25 [core.py:1] init engine (profile, create kv cache, warmup model) took 0.02 seconds",
	"(APIServer pid=1) INFO:     Application startup complete.",
}
