// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// runMain makes the test's own binary behave as the collector.
const runMain = "COLLECTOR_TEST_RUN_MAIN"

// serveEnv makes the test's own binary a server that is healthy, at that address.
const serveEnv = "COLLECTOR_TEST_SERVE"

func TestMain(m *testing.M) {
	if address := os.Getenv(serveEnv); address != "" {
		healthy := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		fmt.Fprintln(os.Stderr, (&http.Server{Addr: address, Handler: healthy, ReadHeaderTimeout: time.Minute}).ListenAndServe())
		os.Exit(1)
	}
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// node is what the DaemonSet would tell a collector of its node.
const node = "gpu-node-1"

// command is the collector with the rendered configuration, and what has to be different outside of a pod.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), runMain+"=1", "DD_API_KEY="+apiKey, "K8S_NODE_NAME="+node, "GOMAXPROCS=2", "NO_PROXY=127.0.0.1")
	return cmd
}

// rendered is the collector's configuration as the chart makes it of the values, in a file.
func rendered(t *testing.T, values string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "values.yaml")
	must(t, os.WriteFile(file, []byte(values), 0o600))
	var out, errs bytes.Buffer
	cmd := exec.Command(helm(t), "template", "coldtrace", "../../charts/coldtrace", "--set", "collector.enabled=true", "-f", file,
		"--show-only", "templates/collector.yaml")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("helm template: %v: %s", err, errs.String())
	}
	for doc := range strings.SplitSeq(out.String(), "\n---\n") {
		var object struct {
			Kind string
			Data map[string]string
		}
		must(t, yaml.Unmarshal([]byte(doc), &object))
		if object.Kind == "ConfigMap" {
			config := filepath.Join(dir, "config.yaml")
			must(t, os.WriteFile(config, []byte(object.Data["config.yaml"]), 0o600))
			return config
		}
	}
	t.Fatal("the chart renders no configuration")
	return ""
}

func helm(t *testing.T) string {
	t.Helper()
	path := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "helm")
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		path = "../../.cluster/bin/helm"
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no Helm: run `make replay`, which builds it: %v", err)
	}
	return path
}

// collector is one that runs.
type collector struct {
	grpc, http string
	cmd        *exec.Cmd
	log        string // what it says, a file
	ended      chan struct{}
	err        error // once it has ended
}

// start runs a configuration, with its addresses on loopback and Datadog's replaced by the intake's. overlay is merged
// over that.
func start(t *testing.T, config string, in *intake, overlay string) *collector {
	t.Helper()
	free := freePorts(t, 3)
	c := &collector{grpc: "127.0.0.1:" + free[0], http: "http://127.0.0.1:" + free[1], log: filepath.Join(t.TempDir(), "log"), ended: make(chan struct{})}
	here := fmt.Sprintf(`
receivers: {otlp: {protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}}
extensions: {health_check: {endpoint: %q}}
service: {telemetry: {metrics: {level: none}}}
`, c.grpc, "127.0.0.1:"+free[1], "127.0.0.1:"+free[2])
	if in != nil {
		here += fmt.Sprintf("exporters: {datadog: {traces: {endpoint: %q}, metrics: {endpoint: %q}}}\n", in.url, in.url)
	}
	args := []string{"--config", config}
	for i, text := range []string{here, overlay} {
		if text == "" {
			continue
		}
		file := filepath.Join(t.TempDir(), strconv.Itoa(i)+".yaml")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		args = append(args, "--config", file)
	}
	c.cmd = command(t, args...)
	log, err := os.Create(c.log)
	must(t, err)
	defer log.Close()
	c.cmd.Stdout, c.cmd.Stderr = log, log
	must(t, c.cmd.Start())
	go func() { c.err = c.cmd.Wait(); close(c.ended) }()
	t.Cleanup(func() { c.stop(t) })
	eventually(t, "the collector to be healthy", func() bool {
		select {
		case <-c.ended:
			t.Fatalf("collector: %v\n%s", c.err, c.said(t))
		default:
		}
		resp, err := http.Get("http://127.0.0.1:" + free[2])
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return c
}

// stop ends it as the kubelet would, and waits until it has sent what it holds. A second call does nothing.
func (c *collector) stop(t *testing.T) {
	t.Helper()
	select {
	case <-c.ended:
		return
	default:
	}
	must(t, c.cmd.Process.Signal(syscall.SIGTERM))
	<-c.ended
	if c.err != nil {
		t.Errorf("collector after SIGTERM: %v", c.err)
	}
	if t.Failed() {
		t.Logf("collector:\n%s", c.said(t))
	}
}

func (c *collector) said(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(c.log)
	must(t, err)
	return string(b)
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited 2 min for %s", what)
		case <-tick.C:
		}
	}
}

// freePorts are ports that the kernel gives no client before the collector listens there: below Linux's ip_local_port_range.
func freePorts(t *testing.T, n int) (free []string) {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(20_000 + rand.IntN(10_000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close()
		if free = append(free, port); len(free) == n {
			return free
		}
	}
	t.Fatalf("%d free ports of 20000 to 29999 could not be found", n)
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
