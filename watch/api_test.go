// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/apiserver"
)

// api is a real API server without kubelets: the tests play the scheduler and the kubelet.
type api struct {
	env    *apiserver.Server
	rest   *rest.Config
	client kubernetes.Interface
	logs   *kubelet // of every node
}

const (
	ownNamespace = "coldtrace"
	podNamespace = "models"
	nodeName     = "gpu-1"
)

func startAPI(t *testing.T) *api {
	t.Helper()
	env := apiserver.Of(t)
	cfg := rest.CopyConfig(env.Config)
	cfg.QPS, cfg.Burst = 1000, 2000
	a := &api{env: env, rest: cfg, client: kubernetes.NewForConfigOrDie(cfg), logs: newKubelet(t)}
	for name, labels := range map[string]map[string]string{
		ownNamespace: nil,
		podNamespace: {"coldtrace.io/inject": "enabled"},
		"elsewhere":  nil,
	} {
		a.must(t, func(ctx context.Context) error {
			_, err := a.client.CoreV1().Namespaces().Create(ctx,
				&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
			return err
		})
	}
	a.node(t, nodeName, 0)
	return a
}

// node adds a node, whose kubelet the test plays unless that is said to be at another port.
func (a *api) node(t *testing.T, name string, port int32) {
	t.Helper()
	a.must(t, func(ctx context.Context) error {
		node, err := a.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{
				"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "topology.kubernetes.io/region": "us-west-2",
			},
		}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: a.logs.host}}
		node.Status.DaemonEndpoints.KubeletEndpoint.Port = cmp.Or(port, a.logs.port)
		_, err = a.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		return err
	})
}

// kubeconfig is an administrator's.
func (a *api) kubeconfig(t *testing.T) []byte {
	t.Helper()
	user, err := a.env.AddUser(envtest.User{Name: "drill", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func (a *api) must(t *testing.T, f func(context.Context) error) {
	t.Helper()
	if err := f(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// scripted is a pod whose start a test plays.
type scripted struct {
	a       *api
	pod     *corev1.Pod
	node    string
	started metav1.Time // of the container, which the kubelet knows before it tells of it by an event
}

func (a *api) create(ctx context.Context, namespace, name string, annotations ...map[string]string) (*scripted, error) {
	return a.createPod(ctx, endpointPod(namespace, name, annotations...))
}

// endpointPod is one that the policy selects.
func endpointPod(namespace, name string, annotations ...map[string]string) *corev1.Pod {
	own := map[string]string{}
	for _, m := range annotations {
		maps.Copy(own, m)
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace,
			Labels:      map[string]string{"managed-by": "model-engine", "endpoint_name": "llama-3-8b"},
			Annotations: own,
		},
		Spec: corev1.PodSpec{
			SchedulerName: "scripted",
			Containers: []corev1.Container{{
				Name: "main", Image: "registry.test/vllm:v0.9.2",
				Command:        []string{"python", "-m", "vllm.entrypoints.openai.api_server", "--model", "llama"},
				Resources:      corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
				ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8000)}}},
			}},
		},
	}
}

// createAs is create, with what is different.
func (a *api) createAs(ctx context.Context, namespace, name string, change func(*corev1.Pod)) (*scripted, error) {
	pod := endpointPod(namespace, name)
	change(pod)
	return a.createPod(ctx, pod)
}

func (a *api) createPod(ctx context.Context, pod *corev1.Pod) (*scripted, error) {
	created, err := a.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create pod: %w", err)
	}
	return &scripted{a: a, pod: created, node: nodeName}, nil
}

func (s *scripted) trace() string { return startup.MD5.TraceID(string(s.pod.UID)).String() }

// event is written as the kubelet's recorder does.
func (s *scripted) event(ctx context.Context, reason, message, container string) error {
	now := time.Now()
	if reason == "Started" {
		s.started = metav1.NewTime(now)
	}
	e := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", s.pod.Name, now.UnixNano()), Namespace: s.pod.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: s.pod.Namespace, Name: s.pod.Name, UID: s.pod.UID,
		},
		Reason: reason, Message: message, Type: corev1.EventTypeNormal, Count: 1,
		FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now),
		Source: corev1.EventSource{Component: "kubelet", Host: nodeName},
	}
	if container != "" {
		e.InvolvedObject.FieldPath = "spec.containers{" + container + "}"
	}
	if _, err := s.a.client.CoreV1().Events(s.pod.Namespace).Create(ctx, e, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create event: %w", err)
	}
	return nil
}

func (s *scripted) bind(ctx context.Context) error {
	err := s.a.client.CoreV1().Pods(s.pod.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: s.pod.Name, UID: s.pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: s.node},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return s.event(ctx, "Scheduled", "Successfully assigned", "")
}

// status patches conditions to true, and the container's state.
func (s *scripted) status(ctx context.Context, running bool, conditions ...corev1.PodConditionType) error {
	pod, err := s.a.client.CoreV1().Pods(s.pod.Namespace).Get(ctx, s.pod.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get pod: %w", err)
	}
	for _, c := range conditions {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: c, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
		})
	}
	if running && len(pod.Status.ContainerStatuses) == 0 {
		pod.Status.Phase = corev1.PodRunning
		if s.started.IsZero() {
			s.started = metav1.Now()
		}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: s.started}},
		}}
	}
	if _, err := s.a.client.CoreV1().Pods(s.pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update status: %w", err)
	}
	return nil
}

// play is a whole start, as fast as the API server takes it.
func (s *scripted) play(ctx context.Context, between func()) error {
	for _, step := range []func() error{
		func() error { return s.bind(ctx) },
		func() error { return s.event(ctx, "Pulling", `Pulling image "registry.test/vllm:v0.9.2"`, "main") },
		func() error { return s.status(ctx, false, corev1.PodReadyToStartContainers, corev1.PodInitialized) },
		func() error {
			return s.event(ctx, "Pulled", `Successfully pulled image "registry.test/vllm:v0.9.2" in 5ms (5ms including waiting). Image size: 4942111 bytes.`, "main")
		},
		func() error { return s.event(ctx, "Created", "Container created", "main") },
		func() error {
			err := s.event(ctx, "Started", "Container started", "main")
			s.says(s.started.Time, ofVLLM...)
			return err
		},
		func() error { return s.status(ctx, true) },
		func() error { return s.status(ctx, true, corev1.ContainersReady, corev1.PodReady) },
	} {
		between()
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
