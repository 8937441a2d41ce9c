// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/dashboard"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
)

// silent are panels that a cluster which is well and new, and has no pods that start as one, has nothing to show in: their queries
// have to run all the same.
var silent = []string{"Trouble", "Slower than the week before", "Start of a group", "Held up by the last pod"}

// TestEveryPanelShowsSomething scrapes coldtrace and the collector with a real Prometheus, as docs/dashboards.md says, and asks
// it what Grafana would ask.
func TestEveryPanelShowsSomething(t *testing.T) {
	good := begin(t, labelled, "dashboard-good")
	good = await(t, good, stage.Ready)
	bad := begin(t, labelled, "dashboard-bad", once, func(_ *corev1.Pod, main *corev1.Container) {
		main.Env = append(main.Env, corev1.EnvVar{Name: "SIM_FAIL", Value: "cuda_oom"})
	})
	await(t, bad, stage.Finished(target))

	p := startPrometheus(t)
	variables := strings.NewReplacer(dashboard.Window, "1h", "$__range", "1h")
	for _, row := range dashboard.Rows() {
		for _, panel := range row.Panels {
			t.Run(row.Title+": "+panel.Title, func(t *testing.T) {
				for _, q := range panel.Queries {
					expression := variables.Replace(q.PromQL(dashboard.Window))
					for _, name := range []string{"endpoint_name", "model_name", "gpu_type", "region"} {
						expression = strings.ReplaceAll(expression, "$"+name, ".*")
					}
					if slices.Contains(silent, panel.Title) {
						if _, err := p.ask(expression); err != nil {
							t.Error(err)
						}
						continue
					}
					p.until(t, expression)
				}
			})
		}
	}
	t.Run("a percentile is that of what was measured", func(t *testing.T) {
		// Other tests' starts are among them, too: the longest took no less than this one, and none took minutes.
		least := 0.0
		for _, c := range good.Status.Conditions {
			if c.Type == corev1.PodReady {
				least = c.LastTransitionTime.Sub(good.CreationTimestamp.Time).Seconds()
			}
		}
		got := p.until(t, `histogram_quantile(1, sum (startup_phase_duration_seconds{phase="pod_startup",reason=""}))`)
		if got < least || got > startTime.Seconds() {
			t.Errorf("the longest start took %v s, one of them %v s", got, least)
		}
	})
	t.Run("every pod's values count", func(t *testing.T) {
		p.until(t, `histogram_count(sum (startup_total_duration_seconds)) >= 2`) // the good pod's and the bad one's
	})
	t.Run("a dot leads to the trace", func(t *testing.T) {
		// Of native histograms Prometheus reads the exemplars of a metric's first series alone. This one has one series: the
		// bad pod's engine was not initialised.
		trace := startup.MD5.TraceID(string(good.UID)).String()
		if !p.has(trace, "startup_vllm_init_duration_seconds") {
			t.Errorf("no exemplar has trace %s", trace)
		}
	})
	t.Run("the alerts' expressions run", func(t *testing.T) {
		for _, group := range p.rules(t) {
			for _, rule := range group.Rules {
				if rule.Health == "err" || rule.LastError != "" {
					t.Errorf("alert %s: %s", rule.Name, rule.LastError)
				}
			}
			if len(group.Rules) < 11 {
				t.Errorf("%d alerts", len(group.Rules))
			}
		}
	})
}

// prometheus is the server, by its address.
type prometheus string

// startPrometheus runs Prometheus until the test is over.
func startPrometheus(t *testing.T) prometheus {
	t.Helper()
	binary, dir := filepath.Join(on.Bin(), "prometheus"), t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-tags", "remove_all_sd", "-ldflags", "-s -w", "-o", binary, "github.com/prometheus/prometheus/cmd/prometheus")
	build.Dir = filepath.Join(on.Checkout(), "test", "prometheus")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Prometheus: %v\n%s", err, out)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tls := on.Rest.TLSClientConfig
	write("ca.crt", string(tls.CAData))
	write("client.crt", string(tls.CertData))
	write("client.key", string(tls.KeyData))
	write("rules.yaml", alerts(t))
	configuration := write("prometheus.yaml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
- job_name: collector
  scrape_native_histograms: true
  static_configs: [{targets: [%q]}]
%s`, net.JoinHostPort(on.NodeIP(), "8889"), replicas(t)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	cmd := exec.Command(binary, "--enable-feature=exemplar-storage", "--config.file="+configuration, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("Prometheus:\n%s", text[max(0, len(text)-3000):])
		}
	})
	return prometheus("http://" + address)
}

// replicas are scraped through the API server, which can reach them from where this test runs.
func replicas(t *testing.T) string {
	t.Helper()
	pods, err := on.Kube.CoreV1().Pods(stage.SystemNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=webhook"})
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(on.Rest.Host)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, pod := range pods.Items {
		fmt.Fprintf(&out, `- job_name: %s
  scheme: https
  tls_config: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}
  metrics_path: /api/v1/namespaces/%s/pods/%s:8080/proxy/metrics
  static_configs: [{targets: [%q]}]
`, pod.Name, pod.Namespace, pod.Name, server.Host)
	}
	return out.String()
}

// alerts are the chart's, as a file of rules.
func alerts(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(on.Bin(), "helm"), "template", "coldtrace", filepath.Join(on.Checkout(), "charts", "coldtrace"),
		"--set", "prometheusRule.enabled=true", "--show-only", "templates/prometheusrule.yaml")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("render the alerts: %v", err)
	}
	_, spec, found := strings.Cut(string(out), "\nspec:\n")
	if !found {
		t.Fatal("the PrometheusRule has no spec")
	}
	return spec
}

func (p prometheus) get(path string, query url.Values, into any) error {
	resp, err := http.Get(string(p) + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return json.Unmarshal(body, into)
}

// ask evaluates an expression now and gives back the values of its series, those that are numbers.
func (p prometheus) ask(expression string) ([]float64, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any
			}
		}
	}
	if err := p.get("/api/v1/query", url.Values{"query": {expression}}, &answer); err != nil {
		return nil, fmt.Errorf("query %s: %w", expression, err)
	}
	var values []float64
	for _, r := range answer.Data.Result {
		var v float64
		if text, ok := r.Value[1].(string); ok && text != "NaN" {
			if _, err := fmt.Sscan(text, &v); err == nil {
				values = append(values, v)
			}
		}
	}
	return values, nil
}

// until waits for an expression to have a value: scrapes take a moment.
func (p prometheus) until(t *testing.T, expression string) float64 {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		values, err := p.ask(expression)
		if len(values) > 0 {
			return values[0]
		}
		if time.Now().After(deadline) {
			t.Fatal(errors.Join(fmt.Errorf("no value of %s", expression), err))
		}
	}
	return 0
}

// has waits for an exemplar with the trace's id.
func (p prometheus) has(trace, expression string) bool {
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-look.C {
		var answer struct {
			Data []struct {
				Exemplars []struct{ Labels map[string]string }
			}
		}
		window := url.Values{"query": {expression}, "start": {strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)}, "end": {strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)}}
		if p.get("/api/v1/query_exemplars", window, &answer) != nil {
			continue
		}
		for _, series := range answer.Data {
			for _, e := range series.Exemplars {
				if e.Labels["trace_id"] == trace {
					return true
				}
			}
		}
	}
	return false
}

type ruleGroup struct {
	Rules []struct{ Name, Health, LastError string }
}

// rules are those of Prometheus after they were evaluated.
func (p prometheus) rules(t *testing.T) []ruleGroup {
	t.Helper()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for range look.C {
		var answer struct{ Data struct{ Groups []ruleGroup } }
		err := p.get("/api/v1/rules", url.Values{}, &answer)
		pending := len(answer.Data.Groups) == 0
		for _, g := range answer.Data.Groups {
			for _, r := range g.Rules {
				pending = pending || r.Health == "unknown"
			}
		}
		if !pending {
			return answer.Data.Groups
		}
		if time.Now().After(deadline) {
			t.Fatalf("the alerts were not evaluated: %v", err)
		}
	}
	return nil
}
