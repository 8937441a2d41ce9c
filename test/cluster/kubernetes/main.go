// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

// Command kubernetes is the components of Kubernetes that only a node's cluster needs, in one link: which of them it is, its
// file's name says. kube-apiserver and kubectl are linked by themselves: tests need only these two. Its tag keeps the rest of
// Kubernetes from being compiled where all packages of the module are vetted or linted.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata" // of CronJobs

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	component, ok := map[string]func() *cobra.Command{
		"kube-controller-manager": manager.NewControllerManagerCommand,
		"kube-proxy":              proxy.NewProxyCommand,
		"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	}[filepath.Base(os.Args[0])]
	if !ok {
		fmt.Fprintln(os.Stderr, "kubernetes: call it by a component's name")
		os.Exit(2)
	}
	os.Exit(cli.Run(component()))
}
