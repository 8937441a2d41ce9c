// SPDX-License-Identifier: Apache-2.0

// Package apiserver is a real API server, without kubelets and controllers, that the tests of a package share.
//
// It needs KUBEBUILDER_ASSETS, a folder with etcd and kube-apiserver; `make test` sets it.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/coldtrace/coldtrace/test/assets"
	"github.com/coldtrace/coldtrace/test/freeport"
)

// Server asks kubelets for logs at their internal address.
type Server struct {
	*envtest.Environment
	Audit string // file with a line of JSON for each request, before it is answered

	dir string
}

var (
	shared Server
	start  = sync.OnceValue(shared.start)
)

// Main runs a package's tests, and then ends the API server that they shared. It returns the process's status.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.dir != "" {
		_ = shared.Stop() // killed if it has watches open; nothing is left either way
		_ = os.RemoveAll(shared.dir)
	}
	return code
}

// Of is the package's API server, as empty as a new one. It is one test's until that ends.
func Of(t testing.TB) *Server {
	t.Helper()
	assets.Need(t)
	if err := start(); err != nil {
		t.Fatalf("start the API server: %v", err)
	}
	t.Cleanup(func() {
		if err := shared.empty(context.Background()); err != nil {
			t.Errorf("empty the API server: %v", err)
		}
	})
	return &shared
}

// Environment is a control plane that is not started yet, at ports that nobody else is given.
func Environment() (*envtest.Environment, error) {
	var ports [2]int
	for i := range ports {
		var err error
		if ports[i], err = freeport.Find(); err != nil {
			return nil, err
		}
	}
	// It is killed after the grace: with watches open it would use up any.
	e := &envtest.Environment{ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: 3 * time.Second}
	serving := &e.ControlPlane.GetAPIServer().SecureServing
	serving.Address, serving.Port = "127.0.0.1", strconv.Itoa(ports[0])
	e.ControlPlane.Etcd = &envtest.Etcd{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:" + strconv.Itoa(ports[1])}}
	e.ControlPlane.Etcd.Configure().Set("listen-peer-urls", "http://127.0.0.1:0") // it has no peers
	return e, nil
}

const auditEverything = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

func (s *Server) start() (err error) {
	if s.dir, err = os.MkdirTemp("", "coldtrace-apiserver-"); err != nil {
		return err
	}
	policy := filepath.Join(s.dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte(auditEverything), 0o600); err != nil {
		return err
	}
	log.SetLogger(logr.Discard())
	s.Audit = filepath.Join(s.dir, "audit.log")
	if s.Environment, err = Environment(); err != nil {
		return err
	}
	flags := s.ControlPlane.GetAPIServer().Configure()
	flags.Append("kubelet-preferred-address-types", "InternalIP")
	flags.Append("audit-log-path", s.Audit)
	flags.Append("audit-policy-file", policy)
	_, err = s.Start()
	return err
}

func kinds(group string, resources ...string) (out []schema.GroupVersionResource) {
	for _, r := range resources {
		out = append(out, schema.GroupVersionResource{Group: group, Version: "v1", Resource: r})
	}
	return out
}

// empty deletes what tests make: no controller would do it after a namespace is deleted.
func (s *Server) empty(ctx context.Context) error {
	client, err := dynamic.NewForConfig(s.Config)
	if err != nil {
		return err
	}
	namespaces, err := client.Resource(kinds("", "namespaces")[0]).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var wrong error
	remove := func(from dynamic.ResourceInterface) {
		now := int64(0)
		wrong = errors.Join(wrong, from.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now},
			metav1.ListOptions{LabelSelector: "!kubernetes.io/bootstrapping"}))
	}
	for _, ns := range namespaces.Items {
		if strings.HasPrefix(ns.GetName(), "kube-") {
			continue
		}
		for _, of := range [][]schema.GroupVersionResource{
			kinds("", "pods", "events", "configmaps", "secrets"), kinds("apps", "deployments"),
			kinds("coordination.k8s.io", "leases"), kinds("rbac.authorization.k8s.io", "roles", "rolebindings"),
		} {
			for _, kind := range of {
				remove(client.Resource(kind).Namespace(ns.GetName()))
			}
		}
		if ns.GetName() != metav1.NamespaceDefault {
			wrong = errors.Join(wrong, s.forget(ctx, ns.GetName()))
		}
	}
	for _, of := range [][]schema.GroupVersionResource{
		kinds("", "nodes"), kinds("rbac.authorization.k8s.io", "clusterroles", "clusterrolebindings"),
		kinds("admissionregistration.k8s.io", "mutatingwebhookconfigurations"), kinds("apiextensions.k8s.io", "customresourcedefinitions"),
	} {
		for _, kind := range of {
			remove(client.Resource(kind))
		}
	}
	return wrong
}

// forget deletes a namespace that is empty, as its controller would.
func (s *Server) forget(ctx context.Context, name string) error {
	client, err := kubernetes.NewForConfig(s.Config)
	if err != nil {
		return err
	}
	namespaces := client.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	_, err = namespaces.Finalize(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("finalize %s: %w", name, err)
	}
	return nil
}
