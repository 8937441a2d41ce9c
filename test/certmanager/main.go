// SPDX-License-Identifier: Apache-2.0

// Command certmanager runs cert-manager's own controllers and CA injector, as its release does, against the cluster of
// KUBECONFIG, until it is told to stop. Its release's commands are in modules that can't be required; these are the same
// packages, wired with the issuers that a test needs: self-signed and CA. Its validating webhook is left out.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"

	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca" // issuers register themselves
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

// names are the controllers that take a Certificate to its Secret.
var names = []string{
	issuers.ControllerName,
	approver.ControllerName, selfsigned.CRControllerName, ca.CRControllerName,
	trigger.ControllerName, keymanager.ControllerName, requestmanager.ControllerName, issuing.ControllerName,
	readiness.ControllerName, revisionmanager.ControllerName,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := klog.Background()
	ctrl.SetLogger(log)
	if err := run(klog.NewContext(ctx, log)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // stop only undoes the signals
	}
}

// run starts everything and ends when one of them does or the context is over.
func run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all []error
	)
	start := func(name string, f func() error) {
		wg.Go(func() {
			defer cancel()
			if err := f(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, fmt.Errorf("run %s: %w", name, err))
			}
		})
	}
	if err := controllers(ctx, start); err != nil {
		return err
	}
	injector, err := newInjector(ctx)
	if err != nil {
		return err
	}
	start("cainjector", func() error { return injector.Start(ctx) })
	wg.Wait()
	return errors.Join(all...)
}

// controllers makes those named and starts them with their informers.
func controllers(ctx context.Context, start func(string, func() error)) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         os.Getenv("KUBECONFIG"),
		KubernetesAPIQPS:   100,
		KubernetesAPIBurst: 200,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: "kube-system"},
		CertificateOptions: controller.CertificateOptions{
			CertificateRequestMinimumBackoffDuration: time.Second,
			CertificateRequestMaximumBackoffDuration: time.Minute,
		},
	})
	if err != nil {
		return fmt.Errorf("make context: %w", err)
	}
	known := controller.Known()
	for name := range known {
		if !slices.Contains(names, name) {
			delete(known, name)
		}
	}
	made := map[string]controller.Interface{}
	for _, name := range names {
		build, ok := known[name]
		if !ok {
			return fmt.Errorf("cert-manager has no controller %s", name)
		}
		if made[name], err = build(factory); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
	}
	shared, err := factory.Build()
	if err != nil {
		return fmt.Errorf("make context: %w", err)
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	for name, c := range made {
		start(name, func() error { return c.Run(1, ctx) })
	}
	return nil
}
