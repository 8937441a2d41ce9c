// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/apiserver"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// bare is a cluster in which nothing is installed: an API server, and the part of a kubelet that it asks for logs.
type bare struct {
	t       testing.TB
	env     *apiserver.Server
	client  kubernetes.Interface
	admin   string // kubeconfig
	audited int64  // of the audit log, before the test began
	kubelet *kubelet
}

// kubelet answers as one does for the logs of containers.
type kubelet struct {
	mu     sync.Mutex
	logs   map[string]string // by NAMESPACE/POD/CONTAINER, a trailing "?previous" for the attempt before
	silent bool
	asked  int
	whole  map[string]int // how often a log was asked for from its begin
	atOnce int
	most   int
}

func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.asked++
	k.atOnce++
	k.most = max(k.most, k.atOnce)
	key := strings.TrimPrefix(r.URL.Path, "/containerLogs/")
	if r.URL.Query().Get("previous") == "true" {
		key += "?previous"
	}
	log, ok := k.logs[key]
	silent := k.silent
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.atOnce--
		k.mu.Unlock()
	}()
	switch {
	case silent:
		panic(http.ErrAbortHandler)
	case !ok:
		http.Error(w, "there is no such log", http.StatusNotFound)
		return
	case r.URL.Query().Get("timestamps") != "true":
		http.Error(w, "stamps were not asked for", http.StatusBadRequest)
		return
	}
	since, err := time.Parse(time.RFC3339, r.URL.Query().Get("sinceTime"))
	if err != nil {
		k.mu.Lock()
		k.whole[key]++
		k.mu.Unlock()
	} else {
		log = strings.Join(slices.DeleteFunc(strings.SplitAfter(log, "\n"), func(line string) bool {
			stamp, _, _ := strings.Cut(line, " ")
			at, err := time.Parse(time.RFC3339Nano, stamp)
			return err == nil && at.Before(since)
		}), "")
	}
	if limit, err := strconv.Atoi(r.URL.Query().Get("limitBytes")); err == nil {
		log = log[:min(limit, len(log))]
	}
	_, _ = w.Write([]byte(log))
}

func newBare(t testing.TB) *bare {
	t.Helper()
	b := &bare{t: t, env: apiserver.Of(t), admin: filepath.Join(t.TempDir(), "admin"), kubelet: &kubelet{logs: map[string]string{}, whole: map[string]int{}}}
	audit, err := os.Stat(b.env.Audit)
	must(t, err)
	b.audited = audit.Size()
	b.client = kubernetes.NewForConfigOrDie(b.env.Config)
	b.write(b.admin, string(b.kubeconfig("operator", "system:masters")))
	b.node()
	return b
}

func (b *bare) write(path, text string) {
	b.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bare) kubeconfig(name string, groups ...string) []byte {
	b.t.Helper()
	user, err := b.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	config, err := user.KubeConfig()
	if err != nil {
		b.t.Fatal(err)
	}
	return config
}

// person is the kubeconfig of somebody with a few rights.
func (b *bare) person(name, namespace string, rules ...rbacv1.PolicyRule) string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), name)
	b.write(path, string(b.kubeconfig(name)))
	ctx := b.t.Context()
	must(b.t, ignore(b.client.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})))
	must(b.t, ignore(b.client.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: name, APIGroup: "rbac.authorization.k8s.io"}},
	}, metav1.CreateOptions{})))
	return path
}

func ignore[T any](_ T, err error) error { return err }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bare) node() {
	b.t.Helper()
	server := httptest.NewTLSServer(b.kubelet)
	b.t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	must(b.t, err)
	number, err := strconv.Atoi(port)
	must(b.t, err)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "gpu-1", Labels: map[string]string{"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}}
	node, err = b.client.CoreV1().Nodes().Create(b.t.Context(), node, metav1.CreateOptions{})
	must(b.t, err)
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: host}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(number)
	must(b.t, ignore(b.client.CoreV1().Nodes().UpdateStatus(b.t.Context(), node, metav1.UpdateOptions{})))
}

func (b *bare) namespace(name string) {
	b.t.Helper()
	ctx := b.t.Context()
	must(b.t, ignore(b.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})))
}

// begin is a pod whose command is nobody's but its image's, scheduled and running since a second after its creation.
func (b *bare) begin(namespace, name string, change func(*corev1.Pod)) *corev1.Pod {
	b.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"app": "llama"}},
		Spec: corev1.PodSpec{NodeName: "gpu-1", Containers: []corev1.Container{{
			Name: "main", Image: "vllm/vllm-openai:v0.19.0", Args: []string{"--model", "m"},
			Resources:      corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/health", Port: intstr.FromInt32(8000)}}},
		}}},
	}
	if change != nil {
		change(p)
	}
	status := p.Status
	p, err := b.client.CoreV1().Pods(namespace).Create(b.t.Context(), p, metav1.CreateOptions{})
	must(b.t, err)
	started := metav1.NewTime(p.CreationTimestamp.Add(time.Second))
	p.Status = status
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: p.CreationTimestamp})
	if len(p.Status.ContainerStatuses) == 0 {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}}}
	}
	return b.status(p)
}

// follow follows a pod in namespace models for at most two minutes.
func (b *bare) follow(name string) (out *syncBuffer, done chan error) {
	out, done = new(syncBuffer), make(chan error)
	go func() {
		cmd := newTraceCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{"--kubeconfig", b.admin, "-n", "models", name, "--follow", "--timeout", "2m"})
		cmd.SetOut(out)
		cmd.SetErr(out)
		done <- cmd.Execute()
	}()
	return out, done
}

func (b *bare) status(p *corev1.Pod) *corev1.Pod {
	b.t.Helper()
	p, err := b.client.CoreV1().Pods(p.Namespace).UpdateStatus(b.t.Context(), p, metav1.UpdateOptions{})
	must(b.t, err)
	return p
}

// ready says that the kubelet found a pod ready that many seconds after its creation.
func (b *bare) ready(p *corev1.Pod, seconds int) *corev1.Pod {
	b.t.Helper()
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(p.CreationTimestamp.Add(time.Duration(seconds) * time.Second)),
	})
	return b.status(p)
}

// happened adds an event of the kubelet's, so long after the pod's creation.
func (b *bare) happened(p *corev1.Pod, reason, message string, after time.Duration) {
	b.t.Helper()
	at := p.CreationTimestamp.Add(after)
	must(b.t, ignore(b.client.CoreV1().Events(p.Namespace).Create(b.t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", p.Name, at.UnixNano()), Namespace: p.Namespace},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: p.Name, Namespace: p.Namespace, UID: p.UID, FieldPath: "spec.containers{main}"},
		Reason:         reason, Message: message, FirstTimestamp: metav1.NewTime(at.Truncate(time.Second)), LastTimestamp: metav1.NewTime(at), Count: 1,
		Source: corev1.EventSource{Component: "kubelet"},
	}, metav1.CreateOptions{})))
}

// vllm is what a vLLM writes from its container's start on: seconds, and a line.
var vllm = []struct {
	after float64
	text  string
}{
	{6, "(APIServer pid=1) INFO 03-01 06:00:05 [api_server.py:1] vLLM API server version 0.19.0"},
	{9, "(EngineCore pid=9) INFO 03-01 06:00:09 [core.py:1] Initializing a V1 LLM engine (v0.19.0) with config: model='m', secret='hunter2'"},
	{11, "(EngineCore pid=9) INFO 03-01 06:00:11 [gpu_model_runner.py:1] Starting to load model m..."},
	{13, "(EngineCore pid=9) INFO 03-01 06:00:13 [gpu_model_runner.py:1] Model loading took 1.50 GiB memory and 1.900000 seconds"},
	{20, "(EngineCore pid=9) INFO 03-01 06:00:20 [monitor.py:1] torch.compile takes 6.50 s in total"},
	{25.2, "(EngineCore pid=9) INFO 03-01 06:00:25 [core.py:1] init engine (profile, create kv cache, warmup model) took 12.10 seconds"},
	{26, "(APIServer pid=1) INFO:     Application startup complete."},
}

// said is the log of a container that started a second after its pod's creation, up to that many lines.
func said(p *corev1.Pod, lines int, more ...string) string {
	var out strings.Builder
	last := p.CreationTimestamp.Add(time.Second)
	for _, l := range vllm[:lines] {
		last = p.CreationTimestamp.Add(time.Second + time.Duration(l.after*float64(time.Second)) + 123456789)
		fmt.Fprintf(&out, "%s %s\n", last.UTC().Format(time.RFC3339Nano), l.text)
	}
	for _, text := range more {
		last = last.Add(100 * time.Millisecond)
		fmt.Fprintf(&out, "%s %s\n", last.UTC().Format(time.RFC3339Nano), text)
	}
	return out.String()
}

func (b *bare) log(p *corev1.Pod, previous bool, text string) {
	key := p.Namespace + "/" + p.Name + "/main"
	if previous {
		key += "?previous"
	}
	b.kubelet.mu.Lock()
	defer b.kubelet.mu.Unlock()
	b.kubelet.logs[key] = text
}

func TestAnyPodOfAClusterIsDrawnWithNothingInstalled(t *testing.T) {
	b := newBare(t)
	b.namespace("models")
	as := func(kubeconfig string, args ...string) (string, string, error) {
		return drawTrace(t, "", append([]string{"--kubeconfig", kubeconfig, "--width", "100", "-n", "models"}, args...)...)
	}
	terminated := func(p *corev1.Pod, code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason,
			StartedAt: metav1.NewTime(p.CreationTimestamp.Add(time.Second)), FinishedAt: metav1.NewTime(p.CreationTimestamp.Add(16 * time.Second))}}
	}
	full := b.begin("models", "full", nil)
	b.happened(full, "Pulled", `Successfully pulled image "vllm/vllm-openai:v0.19.0" in 500ms (500ms including waiting). Image size: 9900000000 bytes.`, 900*time.Millisecond)
	b.happened(full, "Started", "Container started", 1010*time.Millisecond)
	b.ready(full, 28)
	b.log(full, false, said(full, len(vllm), slices.Repeat([]string{"INFO: 10.0.0.1 GET /health 200"}, 50)...))

	failed := b.begin("models", "failed", nil)
	failed.Status.ContainerStatuses[0] = corev1.ContainerStatus{
		Name: "main", RestartCount: 2, LastTerminationState: terminated(failed, 1, "Error"),
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
	}
	failed = b.status(failed)
	b.log(failed, false, said(failed, 3, "(EngineCore pid=9) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"))

	restarted := b.begin("models", "restarted", nil)
	restarted.Status.ContainerStatuses[0] = corev1.ContainerStatus{
		Name: "main", RestartCount: 1, LastTerminationState: terminated(restarted, 1, "Error"),
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(restarted.CreationTimestamp.Add(31 * time.Second))}},
	}
	restarted = b.ready(b.status(restarted), 58)
	b.log(restarted, true, said(restarted, 3, "(EngineCore pid=9) RuntimeError: NCCL error in: x.cpp:1, unhandled system error"))
	second := restarted.DeepCopy()
	second.CreationTimestamp = metav1.NewTime(second.CreationTimestamp.Add(30 * time.Second))
	b.log(restarted, false, said(second, len(vllm)))

	looped := b.ready(b.begin("models", "looped", nil), 128)
	again := looped.DeepCopy()
	again.CreationTimestamp = metav1.NewTime(again.CreationTimestamp.Add(100 * time.Second))
	b.log(looped, false, said(looped, 3, "(EngineCore pid=9) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")+said(again, len(vllm)))

	going := b.begin("models", "going", nil)
	b.log(going, false, said(going, 3))

	rotated := b.ready(b.begin("models", "rotated", nil), 28)
	b.log(rotated, false, rotated.CreationTimestamp.Add(time.Hour).UTC().Format(time.RFC3339Nano)+" INFO: 10.0.0.1 GET /health 200\n")

	unknown := b.ready(b.begin("models", "unknown", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "own:1" }), 5)
	b.log(unknown, false, unknown.CreationTimestamp.Add(2*time.Second).UTC().Format(time.RFC3339Nano)+" hello\n")

	b.ready(b.begin("models", "mute", nil), 5) // the kubelet has no log of it

	some := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}}
	visitor := b.person("visitor", "models", some)

	for name, c := range map[string]struct {
		as   string
		args []string
		want []string // in the drawing
		says []string // on standard error
		not  []string // in either
	}{
		"a pod without a command": {
			b.admin, []string{"full"},
			[]string{"ready after 29.0 s", "1 × h100", "image_pull main", "9.9 GB", "startup ", "vllm_init", "python_import", "model_load", "torch_compile", "server_ready"},
			nil, []string{"hunter2", "coldtrace:"},
		},
		"one that failed": {
			b.admin, []string{"pod/failed"},
			[]string{"cuda_out_of_memory", "#3", "model_load"},
			[]string{"of 3 attempts the log of the last one was read: those before are gone"}, nil,
		},
		"one that goes on": {b.admin, []string{"going"}, []string{"still starting", "vllm_init", "model_load", "going on"}, nil, nil},
		"a log whose begin is gone": {
			b.admin, []string{"rotated"}, []string{"ready after", "startup "},
			[]string{"the begin of the log of container main was rotated away"}, []string{"vllm_init"},
		},
		"an engine that nobody knows": {b.admin, []string{"unknown"}, []string{"ready after", "startup "}, []string{"no engine was recognised", "coldtrace.io/engine"}, nil},
		"as much of a log as is asked for": {
			b.admin, []string{"full", "--max-log-bytes", "300"}, []string{"ready after", "vllm_init", "python_import"},
			[]string{"the begin of the log of container main did not say that it is ready: --max-log-bytes reads more"}, []string{"torch_compile"},
		},
		"the attempt before, too": {
			b.admin, []string{"restarted", "--previous"}, []string{"ready after 59.0 s, 2 attempts (1 failed: nccl_error)", "torch_compile"}, nil, []string{"was not read"},
		},
		"and not, unless that is asked for": {
			b.admin, []string{"restarted"}, []string{"ready after 59.0 s, 2 attempts (1 failed: exit_code=1)"}, []string{"the log of attempt 1 was not read: --previous reads it"}, nil,
		},
		"an engine that its shell launched again": {
			b.admin, []string{"looped"}, []string{"ready after 2m 09s", "launched  before, failed after", "cuda_out_of_memory", "silent    "}, nil, nil,
		},
		"no events": {b.admin, []string{"mute"}, []string{"ready after"}, []string{"there are no events of mute", "the log of container main"}, nil},
		"no right to read anything but pods": {
			visitor, []string{"full"}, []string{"ready after", "startup "},
			[]string{"no right to read events: coldtrace rights prints the Role", "no right to read the log of container main"}, []string{"vllm_init"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, err := as(c.as, c.args...)
			if err != nil {
				t.Fatal(err, errs)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("the drawing lacks %q:\n%s%s", want, out, errs)
				}
			}
			for _, want := range c.says {
				if strings.Count(errs, want) != 1 {
					t.Errorf("it does not say once %q:\n%s", want, errs)
				}
			}
			for _, not := range c.not {
				if strings.Contains(out+errs, not) {
					t.Errorf("it says %q:\n%s%s", not, out, errs)
				}
			}
		})
	}
	t.Run("a node that does not answer", func(t *testing.T) {
		b.kubelet.mu.Lock()
		b.kubelet.silent = true
		b.kubelet.mu.Unlock()
		defer func() {
			b.kubelet.mu.Lock()
			b.kubelet.silent = false
			b.kubelet.mu.Unlock()
		}()
		out, errs, err := as(b.admin, "full")
		if err != nil || !strings.Contains(out, "ready after") || !strings.Contains(errs, "the node does not answer for the log of container main") {
			t.Errorf("%v\n%s%s", err, out, errs)
		}
	})
	t.Run("the pods of an owner, a label or a namespace", func(t *testing.T) {
		labels := map[string]string{"app": "llama"}
		must(t, ignore(b.client.AppsV1().Deployments("models").Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "llama"},
			Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: full.Spec.Containers},
			}},
		}, metav1.CreateOptions{})))
		for _, args := range [][]string{{"deploy/llama"}, {"deployment", "llama"}, {"-l", "app=llama"}, {}} {
			out, errs, err := as(b.admin, append(args, "--list")...)
			if err != nil || strings.Count(out, "models/") != 8 {
				t.Errorf("%v: %v\n%s%s", args, err, out, errs)
			}
		}
		for _, args := range [][]string{{"nobody"}, {"deploy/nobody"}, {"-l", "app=nobody"}, {"configmap/kube-root-ca.crt"}} {
			if _, _, err := as(b.admin, args...); err == nil {
				t.Errorf("%v: no error", args)
			}
		}
	})
	t.Run("no older than asked for", func(t *testing.T) {
		if out, errs, err := as(b.admin, "--list", "--since", "1h"); err != nil || strings.Count(out, "models/") != 8 {
			t.Errorf("%v\n%s%s", err, out, errs)
		}
		if out, _, err := as(b.admin, "--list", "--since", "1ns"); err == nil {
			t.Errorf("pods that were there a nanosecond ago:\n%s", out)
		}
	})
	t.Run("names are completed", func(t *testing.T) {
		complete := func(args ...string) string {
			var out bytes.Buffer
			root := &cobra.Command{Use: "coldtrace"}
			root.AddCommand(newTraceCommand())
			root.SetArgs(append([]string{"__complete", "trace", "--kubeconfig", b.admin}, args...))
			root.SetOut(&out)
			root.SetErr(io.Discard)
			must(t, root.Execute())
			return out.String()
		}
		if got := complete("-n", "models", ""); !strings.Contains(got, "full\n") || !strings.Contains(got, "rotated\n") {
			t.Errorf("pods: %s", got)
		}
		if got := complete("-n", ""); !strings.Contains(got, "models\n") || !strings.Contains(got, "kube-system\n") {
			t.Errorf("namespaces: %s", got)
		}
	})
	t.Run("as OTLP JSON lines, which draw the same", func(t *testing.T) {
		lines, errs, err := as(b.admin, "full", "-o", "otlp")
		must(t, err)
		again, _, err := drawTrace(t, lines, "-", "--width", "100")
		must(t, err)
		if first, _, err := as(b.admin, "full"); err != nil || first != again {
			t.Errorf("%v %s\n%s\nfirst\n%s", err, errs, again, first)
		}
	})
	t.Run("kept in a capture, with phases and without a line", func(t *testing.T) {
		var out bytes.Buffer
		cmd := newCaptureCommand()
		cmd.SetArgs([]string{"--kubeconfig", b.admin, "-n", "models", "--logs"})
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		must(t, cmd.Execute())
		if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "INFO") {
			t.Errorf("it has lines of a log:\n%s", out.String())
		}
		drawing, errs, err := drawTrace(t, out.String(), "-", "--pod", "models/full", "--width", "100")
		if err != nil {
			t.Fatal(err, errs)
		}
		for _, want := range []string{"ready after 29.0 s", "vllm 0.19.0", "python_import", "torch_compile", "6.50 s", "server_ready", "silent "} {
			if !strings.Contains(drawing, want) {
				t.Errorf("the drawing lacks %q:\n%s", want, drawing)
			}
		}
	})
	t.Run("sent twice to an OTLP endpoint, under the same ids", func(t *testing.T) {
		receiver := otlptest.New(t)
		for range 2 {
			if _, errs, err := as(b.admin, "full", "--send", "http://"+receiver.GRPC); err != nil {
				t.Fatal(err, errs)
			}
		}
		ids := map[string]int{}
		for _, sp := range receiver.Spans() {
			ids[sp.ID]++
		}
		for _, key := range []string{startup.SpanPodStartup, startup.KeyInContainer, startup.SpanVLLMInit} {
			if n := ids[startup.MD5.SpanID(string(full.UID), key).String()]; n != 2 {
				t.Errorf("%s came %d times", key, n)
			}
		}
	})
	t.Run("followed to its end", func(t *testing.T) {
		owned := func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "llama-1", UID: "5a44de00-8fd2-4806-9638-a802730aea79", Controller: new(true)}}
		}
		early := b.ready(b.begin("models", "early", owned), 28)
		b.log(early, false, said(early, len(vllm)))
		late := b.begin("models", "late", owned)
		b.log(late, false, said(late, 3))
		out, done := b.follow("late")
		out.await(t, "python_import")
		b.log(late, false, said(late, len(vllm)))
		b.ready(late, 28)
		if err := <-done; err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
		if n := b.kubelet.whole["models/late/main"]; n != 1 {
			t.Errorf("its log was read from its begin %d times", n)
		}
		if !strings.Contains(out.String(), "now: ") || !strings.Contains(out.String(), "ready in about ") {
			t.Errorf("it does not say what it is at, and for how long yet:\n%s", out.String())
		}
		for _, phase := range []string{"torch_compile", "server_ready", "pod_startup"} {
			if strings.Count(out.String(), phase) != 1 {
				t.Errorf("%s is not told once:\n%s", phase, out.String())
			}
		}
		for name, want := range map[string]error{"full": nil, "going": followedUnknown} {
			if _, errs, err := as(b.admin, name, "--follow", "--timeout", "3s"); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v: %s", name, err, want, errs)
			}
		}
	})
	t.Run("a pod that is gone while it is followed", func(t *testing.T) {
		gone := b.begin("models", "gone", nil)
		b.log(gone, false, said(gone, 3))
		out, done := b.follow("gone")
		out.await(t, "python_import")
		if err := b.client.CoreV1().Pods("models").Delete(t.Context(), "gone", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, followedUnknown) || !strings.Contains(out.String(), "not found") {
			t.Errorf("%v\n%s", err, out.String())
		}
	})
	t.Run("the rights that are printed are those it takes", func(t *testing.T) {
		run := func(args ...string) (string, error) {
			var out bytes.Buffer
			cmd := newRightsCommand()
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs(append([]string{"-n", "models"}, args...))
			cmd.SetOut(&out)
			err := cmd.Execute()
			return out.String(), err
		}
		if _, err := run("--check", "--kubeconfig", visitor); !errors.Is(err, errRights) {
			t.Errorf("a visitor has all rights: %v", err)
		}
		jane := filepath.Join(t.TempDir(), "jane")
		b.write(jane, string(b.kubeconfig("jane")))
		for _, user := range []string{"jane", "Jane", "oidc:Joe@example.com/" + strings.Repeat("x", 300)} { // whose binding takes none away
			var roles bytes.Buffer
			must(t, printRights(&roles, "models", user))
			apply := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), "--kubeconfig", b.kubectl(), "apply", "-f", "-")
			apply.Stdin = &roles
			if said, err := apply.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			if _, err := run("--check", "--kubeconfig", jane); err != nil {
				t.Errorf("when %s is bound, too: %v", user, err)
			}
		}
		if out, errs, err := as(jane, "full"); err != nil || errs != "" || !strings.Contains(out, "torch_compile") {
			t.Errorf("%v\n%s%s", err, out, errs)
		}
	})
	t.Run("nothing was written", func(t *testing.T) {
		for _, user := range []string{"visitor", "operator"} {
			verbs := b.verbs(user)
			if len(verbs) == 0 {
				t.Errorf("the audit log has nothing of %s", user)
			}
			for verb, n := range verbs {
				if !slices.Contains([]string{"get", "list", "watch"}, verb) {
					t.Errorf("%s: %d times %s", user, n, verb)
				}
			}
		}
	})
}

// kubectl is the kubeconfig of somebody who may write.
func (b *bare) kubectl() string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "writer")
	b.write(path, string(b.kubeconfig("writer", "system:masters")))
	return path
}

// syncBuffer is written while it is read.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *syncBuffer) await(t testing.TB, text string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(b.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not say %q:\n%s", text, b.String())
		}
	}
}

// verbs are what a user's requests were, but for the questions that rights --check asks, which change nothing.
func (b *bare) verbs(user string) map[string]int {
	b.t.Helper()
	f, err := os.Open(b.env.Audit)
	must(b.t, err)
	defer f.Close()
	must(b.t, ignore(f.Seek(b.audited, io.SeekStart)))
	out := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef struct{ Resource string }
		}
		must(b.t, json.Unmarshal(lines.Bytes(), &e))
		if e.User.Username == user && e.ObjectRef.Resource != "selfsubjectaccessreviews" { // rights --check asks
			out[e.Verb]++
		}
	}
	return out
}

// A namespace of 1,000 pods, with the API server and the kubelet on loopback.
func TestANamespaceOfAThousandPodsIsSummarised(t *testing.T) {
	if os.Getenv("COLDTRACE_SCALE_PODS") == "" {
		t.Skip("COLDTRACE_SCALE_PODS=1000 says that there is time for it")
	}
	b := newBare(t)
	b.namespace("many")
	n, err := strconv.Atoi(os.Getenv("COLDTRACE_SCALE_PODS"))
	must(t, err)
	for i := range n {
		p := b.ready(b.begin("many", fmt.Sprintf("llama-%04d", i), nil), 28)
		b.log(p, false, said(p, len(vllm)))
	}
	began := time.Now()
	out, errs, err := drawTrace(t, "", "--kubeconfig", b.admin, "-n", "many", "--list")
	took := time.Since(began)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d pods in %v, at most %d logs at a time, %d MiB with the kubelet's", n, took, b.kubelet.most, memory.Sys>>20)
	if err != nil || strings.Count(out, "many/") != n || b.kubelet.most > 32 || took > 15*time.Second || memory.Sys > 150<<20 {
		t.Errorf("%v\n%.2000s%.2000s", err, out, errs)
	}
}
