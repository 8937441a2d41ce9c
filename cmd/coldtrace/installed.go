// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/webhook"
	"github.com/coldtrace/coldtrace/webhook/breaker"
)

// installed is what the coldtrace of a cluster goes by.
type installed struct {
	policy       *config.Policy
	breaker      breaker.State
	imageVolumes bool
	watching     bool     // alone: there is no webhook
	logs         []string // namespaces whose logs are read, * all
}

// labelled selects what the chart makes.
var labelled = metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=coldtrace"}

// readInstalled finds the installation by its webhook configuration, which says where it lives.
func readInstalled(ctx context.Context, client kubernetes.Interface) (*installed, error) {
	hooks, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, labelled)
	if err != nil {
		return nil, fmt.Errorf("find the webhook configuration: %w", err)
	}
	for i := range hooks.Items {
		for _, h := range hooks.Items[i].Webhooks {
			if s := h.ClientConfig.Service; s != nil {
				return readAt(ctx, client, s.Namespace, s.Name+"-policy")
			}
		}
	}
	return readWatching(ctx, client)
}

// readWatching finds an installation that only watches by its policy.
func readWatching(ctx context.Context, client kubernetes.Interface) (*installed, error) {
	maps, err := client.CoreV1().ConfigMaps(metav1.NamespaceAll).List(ctx, labelled)
	if err != nil {
		return nil, fmt.Errorf("find the policy: %w", err)
	}
	for i := range maps.Items {
		if c := &maps.Items[i]; c.Data["policy.yaml"] != "" {
			in, err := readAt(ctx, client, c.Namespace, c.Name)
			if err == nil {
				in.watching = true
			}
			return in, err
		}
	}
	return nil, errors.New("neither a webhook configuration nor a policy is labelled " + labelled.LabelSelector)
}

// readAt reads the policy, the breaker and the nodes.
func readAt(ctx context.Context, client kubernetes.Interface, namespace, policy string) (*installed, error) {
	maps := client.CoreV1().ConfigMaps(namespace)
	c, err := maps.Get(ctx, policy, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get policy: %w", err)
	}
	in := &installed{}
	if in.policy, err = config.Parse([]byte(c.Data["policy.yaml"])); err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", namespace, policy, err)
	}
	state, err := maps.Get(ctx, breaker.Name, metav1.GetOptions{})
	if err == nil {
		in.breaker, err = breaker.Read(state)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get breaker: %w", err)
	}
	deployments, err := client.AppsV1().Deployments(namespace).List(ctx, labelled)
	switch {
	case apierrors.IsForbidden(err):
		in.logs = []string{"*"} // who can't see it is told what the policy says
	case err != nil:
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	for i := range deployments.Items {
		for _, arg := range deployments.Items[i].Spec.Template.Spec.Containers[0].Args {
			if names, ok := strings.CutPrefix(arg, "--log-namespaces="); ok {
				in.logs = strings.Split(names, ",")
			}
		}
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	server, err := client.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("read the API server's version: %w", err)
	}
	in.imageVolumes = webhook.ImageVolumesUsable(server.GitVersion, nodes.Items, in.policy.Selection.GPUResources)
	return in, nil
}

// apply has a decision made as the installation would make it for a pod of an object now.
func (in *installed) apply(req *inject.Request, m manifest) {
	req.Policy, req.ImageVolumes = in.policy, in.imageVolumes
	req.LogsForbidden = !slices.Contains(in.logs, "*") && !slices.Contains(in.logs, req.Namespace)
	kind, name := m.Kind, m.Name
	if m.Kind == "Pod" {
		name = ""
		if owner := req.Pod.Metadata.Controller(); owner != nil {
			kind, name = owner.Kind, owner.Name
		}
	}
	req.NoWrapper, req.NoImageVolume = in.breaker.NoWrapper(req.Namespace, req.Pod.Metadata.Labels, kind, name), in.breaker.NoImageVolume(req.Namespace)
}
