// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

// completeWithin is how long a shell waits for a completion.
const completeWithin = 3 * time.Second

// few is more than a person looks through.
var few = metav1.ListOptions{Limit: 500}

// completeFlag completes a flag that takes one of a few words.
func completeFlag(cmd *cobra.Command, flag string, words ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// completePods completes names of pods, beside those of files.
func (s *source) completePods(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return s.complete(cmd, func(ctx context.Context, client kubernetes.Interface, namespace string) (runtime.Object, error) {
		return client.CoreV1().Pods(namespace).List(ctx, few)
	}), cobra.ShellCompDirectiveDefault
}

func (s *source) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return s.complete(cmd, func(ctx context.Context, client kubernetes.Interface, _ string) (runtime.Object, error) {
		return client.CoreV1().Namespaces().List(ctx, few)
	}), cobra.ShellCompDirectiveNoFileComp
}

// complete is the names of what is listed. A completion has nowhere to say why there are none.
func (s *source) complete(cmd *cobra.Command, list func(context.Context, kubernetes.Interface, string) (runtime.Object, error)) (names []string) {
	client, namespace, err := connect(s.config)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	objects, err := list(ctx, client, namespace)
	if err != nil {
		return nil
	}
	_ = meta.EachListItem(objects, func(o runtime.Object) error {
		names = append(names, o.(metav1.Object).GetName())
		return nil
	})
	return names
}
