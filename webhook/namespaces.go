// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/coldtrace/coldtrace/config"
)

// NamespaceKind is a namespace of which only the metadata is read.
func NamespaceKind() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
}

// NamespaceCache limits a cache to the namespaces that are opted in.
func NamespaceCache() cache.ByObject {
	return cache.ByObject{Label: labels.SelectorFromSet(labels.Set{config.NamespaceLabel: config.NamespaceValue})}
}

// Namespaces knows the annotations of labelled namespaces.
type Namespaces struct {
	cache    cache.Cache
	informer cache.Informer
}

// NewNamespaces watches them through the cache.
func NewNamespaces(ctx context.Context, c cache.Cache) (*Namespaces, error) {
	informer, err := c.GetInformer(ctx, NamespaceKind(), cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	return &Namespaces{c, informer}, nil
}

// Annotations are those of a labelled namespace. Nobody is waited for: until all are known there are none.
func (n *Namespaces) Annotations(name string) map[string]string {
	namespace := NamespaceKind()
	if !n.informer.HasSynced() || n.cache.Get(context.Background(), client.ObjectKey{Name: name}, namespace) != nil {
		return nil
	}
	return namespace.Annotations
}
