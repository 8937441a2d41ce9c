// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/apiserver"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// envMain makes the test binary the program: replicas that are killed have to be processes.
const envMain = "COLDTRACE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(envMain) != "" {
		os.Exit(run())
	}
	os.Exit(apiserver.Main(m))
}

// site is an API server without kubelets, and a collector.
type site struct {
	client     kubernetes.Interface
	kubeconfig string
	policy     string
	collector  *otlptest.Receiver
}

func newSite(t *testing.T) *site {
	t.Helper()
	env := apiserver.Of(t)
	user, err := env.AddUser(envtest.User{Name: "replica", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &site{
		client: kubernetes.NewForConfigOrDie(env.Config), collector: otlptest.New(t),
		kubeconfig: filepath.Join(dir, "kubeconfig"), policy: filepath.Join(dir, "policy.yaml"),
	}
	for path, text := range map[string]string{
		s.kubeconfig: string(kubeconfig),
		s.policy:     "otlp: {endpoint: http://" + s.collector.GRPC + "}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, labels := range map[string]map[string]string{"coldtrace": nil, "models": {"coldtrace.io/inject": "enabled"}} {
		_, err := s.client.CoreV1().Namespaces().Create(t.Context(),
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// schedule creates a pod and binds it, which ends its first phase.
func (s *site) schedule(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pods := s.client.CoreV1().Pods("models")
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"managed-by": "model-engine", "endpoint_name": "llama"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "registry.test/vllm:v0.9.2", Command: []string{"vllm", "serve", "llama"},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = pods.Bind(t.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: "gpu-1"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func (s *site) awaitPending(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	id := startup.MD5.TraceID(string(pod.UID)).String()
	told := s.collector.Wait(time.Minute, func() bool {
		for _, span := range s.collector.Spans() {
			if span.Name == startup.SpanPodPending && span.TraceID == id {
				return true
			}
		}
		return false
	})
	if !told {
		t.Fatalf("pod_pending of %s did not come", pod.Name)
	}
}

// replica is a process of `coldtrace serve`.
type replica struct {
	cmd     *exec.Cmd
	metrics string
	health  string
	webhook string
	ended   bool
}

func (s *site) replica(t *testing.T, more ...string) *replica {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{metrics: freeAddress(t), health: freeAddress(t), webhook: freeAddress(t)}
	_, port, _ := net.SplitHostPort(r.webhook)
	r.cmd = exec.CommandContext(context.Background(), self, append([]string{
		"serve", "--namespace=coldtrace", "--policy=" + s.policy,
		"--webhook-port=" + port, "--metrics-address=" + r.metrics, "--health-address=" + r.health,
	}, more...)...)
	r.cmd.Env = append(os.Environ(), envMain+"=1", "KUBECONFIG="+s.kubeconfig)
	var log strings.Builder
	r.cmd.Stderr = &log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("replica %s:\n%s", r.metrics, log.String())
		}
	})
	return r
}

func (r *replica) end(s syscall.Signal) {
	if r.ended {
		return
	}
	r.ended = true
	_ = r.cmd.Process.Signal(s)
	_ = r.cmd.Wait()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// scrape is what the replica serves on /metrics, empty while it does not.
func (r *replica) scrape(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.metrics+"/metrics", nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// await polls what another process serves.
func await(t testing.TB, what string, condition func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return condition(ctx), nil
	})
	if err != nil {
		t.Fatalf("%s: not within a minute", what)
	}
}

func (r *replica) awaitLead(t *testing.T, leads int) {
	t.Helper()
	line := fmt.Sprintf("leader_election_master_status{name=%q} %d", watchLease, leads)
	await(t, line, func(ctx context.Context) bool { return strings.Contains(r.scrape(ctx), line) })
}

func TestAReplicaThatOnlyWatchesServesNoWebhookAndNeedsNoCertificate(t *testing.T) {
	s := newSite(t)
	r := s.replica(t, "--webhook=false")
	r.awaitLead(t, 1)
	s.awaitPending(t, s.schedule(t, "watched"))
	await(t, "readiness", func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.health+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.webhook); err == nil {
		c.Close()
		t.Error("something listens on the webhook's port")
	}
	secrets, err := s.client.CoreV1().Secrets("coldtrace").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(secrets.Items) != 0 {
		t.Errorf("%d Secrets, %v", len(secrets.Items), err)
	}
	leases, err := s.client.CoordinationV1().Leases("coldtrace").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(leases.Items) != 1 || leases.Items[0].Name != watchLease {
		t.Errorf("leases: %v, %v", leases.Items, err)
	}
	text := r.scrape(t.Context())
	if !strings.Contains(text, "coldtrace_policy_good 1") || !strings.Contains(text, `coldtrace_starts_unseen_inside_total{reason="logs-not-granted"} 0`) {
		t.Errorf("the metrics lack what alerts look at:\n%s", text)
	}
}

// Take-over is measured with real processes. The bars hold on a machine that does nothing else, so they are bars only
// where COLDTRACE_DRILL asks for them.
func TestAnotherReplicaTakesTheWatchOver(t *testing.T) {
	s := newSite(t)
	holder := func(ctx context.Context) string {
		lease, err := s.client.CoordinationV1().Leases("coldtrace").Get(ctx, watchLease, metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil {
			return ""
		}
		return *lease.Spec.HolderIdentity
	}
	current := s.replica(t)
	current.awaitLead(t, 1)
	s.awaitPending(t, s.schedule(t, "first"))
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		bar    time.Duration
	}{
		{"after a clean stop", syscall.SIGTERM, 3 * time.Second},
		{"after a kill", syscall.SIGKILL, 20 * time.Second},
	} {
		standby := s.replica(t)
		t.Run(c.name, func(t *testing.T) {
			standby.awaitLead(t, 0)
			old := holder(t.Context())
			began := time.Now()
			if err := current.cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if c.signal == syscall.SIGTERM { // while the old one leads it tells of the pod itself
				await(t, "the lease given back", func(ctx context.Context) bool { return holder(ctx) != old })
			}
			pod := s.schedule(t, "pod-"+strings.ToLower(c.signal.String()))
			await(t, "the lease taken", func(ctx context.Context) bool { h := holder(ctx); return h != old && h != "" })
			leads := time.Since(began)
			s.awaitPending(t, pod)
			told := time.Since(began)
			t.Logf("%s: the standby leads after %s, and its first span came after %s", c.name, leads.Round(time.Millisecond), told.Round(time.Millisecond))
			if os.Getenv("COLDTRACE_DRILL") != "" && told > c.bar {
				t.Errorf("%s: taken over after %s, more than %s", c.name, told, c.bar)
			}
			current.end(c.signal)
			current = standby
		})
	}
	t.Run("and serves the metrics that are documented", func(t *testing.T) {
		var text string
		await(t, "the phase counted", func(ctx context.Context) bool { // a moment after the collector has it
			text = current.scrape(ctx)
			return strings.Contains(text, "coldtrace_watch_phase_duration_seconds_count")
		})
		documented := documentedMetrics(t)
		served := map[string]bool{}
		lines := bufio.NewScanner(strings.NewReader(text))
		for lines.Scan() {
			name, _, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "# TYPE "), " ")
			if !ok || !strings.HasPrefix(lines.Text(), "# TYPE ") || !ours.MatchString(name) {
				continue
			}
			served[name] = true
			if _, ok := documented[name]; !ok {
				t.Errorf("%s is served and not documented", name)
			}
		}
		for name := range documented {
			// What the webhook counts comes with the first pod, what fails with the first that does.
			if !served[name] && name != "coldtrace_watch_failures_total" && !strings.HasPrefix(name, "coldtrace_admission_") && !strings.HasPrefix(name, "coldtrace_registry_") && !strings.HasPrefix(name, "coldtrace_webhook_") {
				t.Errorf("%s is documented and a process that leads does not serve it", name)
			}
		}
		if m := regexp.MustCompile(`(?m)^.*(pod-terminated|pod-killed|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}).*$`).FindString(text); m != "" {
			t.Errorf("a series names a pod: %s", m)
		}
	})
}
