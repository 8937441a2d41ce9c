// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// Guest is a cluster that somebody has: kind, k3d, a real one.
type Guest struct {
	Kubeconfig string // only read
	Registry   string // that images are pushed to, from here
	Pull       string // the same registry, as the nodes call it
}

const (
	// guestPrefix begins the names of all namespaces that a guest makes.
	guestPrefix = "coldtrace-demo-"
	guestSystem = guestPrefix + "system"
	guestAround = guestPrefix + "around"
)

// Namespace is what a namespace of the demo is called on this cluster.
func (s *Stage) Namespace(name string) string {
	if s.guest == nil {
		return name
	}
	return guestPrefix + name
}

// Visit joins a cluster that somebody has. What is installed there goes with Close: all of it is in namespaces of its own.
func Visit(ctx context.Context, w io.Writer, g Guest) (*Stage, error) {
	if g.Kubeconfig == "" || g.Registry == "" {
		return nil, errors.New("say which cluster, and where its images go: make demo KUBECONFIG=FILE REGISTRY=HOST/PATH")
	}
	checkout, err := findCheckout()
	if err != nil {
		return nil, err
	}
	if g.Kubeconfig, err = filepath.Abs(g.Kubeconfig); err != nil {
		return nil, fmt.Errorf("find the kubeconfig: %w", err)
	}
	home := filepath.Join(checkout, ".cluster")
	s := &Stage{
		Progress: NewProgress(w), checkout: checkout, dir: filepath.Join(home, "guest"), bin: filepath.Join(home, "bin"),
		guest: &g, system: guestSystem, pull: g.Pull, tag: newTag(),
	}
	if s.pull == "" {
		s.pull = g.Registry
	}
	for _, tool := range []string{"kubectl", "helm"} {
		if _, err := exec.LookPath(s.command(ctx, tool).Path); err != nil {
			return nil, fmt.Errorf("%s is needed: install it, or let `make cluster-assets` build it: %w", tool, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.Run(), "otlp"), 0o755); err != nil { //nolint:gosec // for a person to read
		return nil, fmt.Errorf("create a folder for telemetry: %w", err)
	}
	// Both are a Service of the cluster here, where the node has them otherwise.
	s.env = map[string]string{"KUBECONFIG": g.Kubeconfig, "REGISTRY": g.Registry, "NODE_IP": "around." + guestAround + ".svc"}
	if err := s.clients(); err != nil {
		return nil, err
	}
	raw, err := clientcmd.LoadFromFile(g.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	fmt.Fprintf(w, "  on %s, context %s of %s\n", s.Rest.Host, raw.CurrentContext, g.Kubeconfig)
	return s, s.unoccupied(ctx)
}

// unoccupied refuses a cluster in which something of ours is already: it would be changed, and removed in the end.
func (s *Stage) unoccupied(ctx context.Context) error {
	hooks, err := s.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=coldtrace"})
	if err != nil {
		return fmt.Errorf("look for an installation of coldtrace: %w", err)
	}
	if len(hooks.Items) > 0 {
		return fmt.Errorf("coldtrace is installed in this cluster already (%s): try the demo on another", hooks.Items[0].Name)
	}
	for _, name := range s.guestNamespaces() {
		if _, err := s.Kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return errors.Join(fmt.Errorf("the namespace %s is there already: if a former demo left it, kubectl delete namespace %s", name, name), err)
		}
	}
	return nil
}

func (s *Stage) guestNamespaces() []string {
	return []string{guestSystem, guestAround, s.Namespace("models"), s.Namespace("elsewhere")}
}

// leave removes what the demo has installed.
func (s *Stage) leave(ctx context.Context) error {
	return s.Step("removed: the release, four namespaces", func() error {
		return errors.Join(s.UninstallChart(ctx), s.kubectl(ctx, nil, append([]string{"delete", "namespace", "--ignore-not-found", "--wait"}, s.guestNamespaces()...)...))
	})
}

// startAround runs the receiver and the S3 server as pods: a guest has no node to put them on.
func (s *Stage) startAround(ctx context.Context) error {
	return s.Step("receiver and S3 server running", func() error {
		if err := s.MakeNamespace(ctx, guestAround, false); err != nil {
			return err
		}
		manifest, err := os.ReadFile(filepath.Join(s.checkout, "test", "stage", "around.yaml"))
		if err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
		if err := s.Apply(ctx, guestAround, string(manifest)); err != nil {
			return err
		}
		return s.kubectl(ctx, nil, "rollout", "status", "--namespace", guestAround, "deployment/around", "--timeout", "3m")
	})
}

// fetchTelemetry brings here what the receiver has written, which is its log.
func (s *Stage) fetchTelemetry() error {
	log, err := s.output(context.Background(), "kubectl", "logs", "--namespace", guestAround, "deployment/around", "--container", "receiver")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.Run(), "otlp", "otlp.jsonl"), []byte(log), 0o644); err != nil { //nolint:gosec // for a person to read
		return fmt.Errorf("write telemetry: %w", err)
	}
	return nil
}

// withoutGPU makes of an endpoint one that runs where there is no GPU: a limit of one CPU stands for it (see ValueArgs).
var withoutGPU = strings.NewReplacer(
	"      nodeSelector:\n        node-lifecycle: normal\n        k8s.amazonaws.com/accelerator: nvidia-hopper-h100\n", "",
	`, nvidia.com/gpu: "1"`, "",
	`limits: {cpu: "2"`, `limits: {cpu: "1"`,
)

// Removal is the command that removes what Keep has kept.
func (s *Stage) Removal() string {
	if s.guest == nil {
		return "make cluster-down"
	}
	return "helm uninstall " + Release + " -n " + s.system + " && kubectl delete namespace " + strings.Join(s.guestNamespaces(), " ")
}
