// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// completeWithin is how long a shell waits for a completion.
const completeWithin = 3 * time.Second

// completePods completes names of pods, beside those of files.
func (s *source) completePods(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return s.complete(cmd, func(ctx context.Context, client kubernetes.Interface, namespace string) (names []string, err error) {
		list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: 500})
		if err != nil {
			return nil, err //nolint:wrapcheck // nobody reads it
		}
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names, nil
	}), cobra.ShellCompDirectiveDefault
}

func (s *source) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return s.complete(cmd, func(ctx context.Context, client kubernetes.Interface, _ string) (names []string, err error) {
		list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 500})
		if err != nil {
			return nil, err //nolint:wrapcheck // nobody reads it
		}
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names, nil
	}), cobra.ShellCompDirectiveNoFileComp
}

func (s *source) complete(cmd *cobra.Command, list func(context.Context, kubernetes.Interface, string) ([]string, error)) []string {
	client, namespace, err := s.client()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	names, err := list(ctx, client, namespace)
	if err != nil {
		return nil // a completion has nowhere to say why
	}
	return names
}
