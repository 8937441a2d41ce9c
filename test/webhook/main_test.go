// SPDX-License-Identifier: Apache-2.0

// Package webhook_test runs the built program against a real API server: replicas of `coldtrace serve` behind a small
// load balancer, the webhook configuration from the chart.
//
// It needs KUBEBUILDER_ASSETS, a folder with etcd, kube-apiserver, kubectl and helm; `make test` sets it.
package webhook_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/coldtrace/coldtrace/test/apiserver"
	"github.com/coldtrace/coldtrace/test/assets"
	"github.com/coldtrace/coldtrace/test/program"
)

// suite is the API server that all tests share, and the built program.
var suite struct {
	env        *envtest.Environment
	config     *rest.Config
	client     *kubernetes.Clientset
	binary     string
	kubeconfig string
	dir        string
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return m.Run(), nil // each test skips with a message
	}
	dir, err := os.MkdirTemp("", "coldtrace-webhook-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	programs, err := program.Build("cmd/coldtrace")
	if err != nil {
		return 1, err
	}
	suite.dir, suite.binary = dir, programs[0]
	if suite.env, err = apiserver.Environment(); err != nil {
		return 1, err
	}
	// With a folder of its own the API server keeps its certificates through a restart.
	suite.env.ControlPlane.GetAPIServer().CertDir = filepath.Join(dir, "apiserver")
	if err := os.Mkdir(filepath.Join(dir, "apiserver"), 0o700); err != nil {
		return 1, err
	}
	api := suite.env.ControlPlane.GetAPIServer().Configure()
	api.Append("audit-log-path", filepath.Join(dir, "audit.log"))
	api.Append("audit-policy-file", filepath.Join(dir, "audit.yaml"))
	if err := os.WriteFile(filepath.Join(dir, "audit.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return 1, err
	}
	log.SetLogger(logr.Discard())
	if suite.config, err = suite.env.Start(); err != nil {
		return 1, fmt.Errorf("start API server: %w", err)
	}
	defer func() { _ = suite.env.Stop() }() // killed after the grace if it has watches open; nothing is left either way
	suite.config.QPS, suite.config.Burst = 500, 1000
	if suite.client, err = kubernetes.NewForConfig(suite.config); err != nil {
		return 1, err
	}
	suite.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(suite.kubeconfig, suite.env.KubeConfig, 0o600); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  resources: [{group: "", resources: [pods]}]
  verbs: [create]
- level: None
`

func needAPIServer(t testing.TB) {
	t.Helper()
	if suite.env == nil {
		assets.Need(t)
	}
}

// eventually waits for the thing itself, looking often.
func eventually(t testing.TB, within time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = check(ctx); last == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, within, last)
		case <-tick.C:
		}
	}
}
