// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// envProcess says what a measured process is.
const envProcess = "COLDTRACE_SCALE_PROCESS"

// inform is a watcher of the usual kind: typed informers with the selectors that ours has, and nothing beyond.
func inform(kubeconfig, _ string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	selected := func(label, field string) informers.SharedInformerFactory {
		return informers.NewSharedInformerFactoryWithOptions(client, time.Hour, informers.WithNamespace(podNamespace),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector, o.FieldSelector = label, field }))
	}
	pods, events := selected("managed-by=model-engine", ""), selected("", "involvedObject.kind=Pod")
	pods.Core().V1().Pods().Informer()
	events.Core().V1().Events().Informer()
	pods.Start(ctx.Done())
	events.Start(ctx.Done())
	<-ctx.Done()
	return nil
}
