// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"maps"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
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
	mu          sync.RWMutex
	annotations map[string]map[string]string
}

// NewNamespaces watches them through the cache.
func NewNamespaces(ctx context.Context, c cache.Cache) (*Namespaces, error) {
	n := &Namespaces{annotations: map[string]map[string]string{}}
	informer, err := c.GetInformer(ctx, NamespaceKind(), cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    n.set,
		UpdateFunc: func(_, o any) { n.set(o) },
		DeleteFunc: n.drop,
	})
	if err != nil {
		return nil, fmt.Errorf("watch namespaces: %w", err)
	}
	return n, nil
}

// Annotations are those of a labelled namespace. They must not be changed.
func (n *Namespaces) Annotations(name string) map[string]string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.annotations[name]
}

func (n *Namespaces) set(o any) {
	if ns, ok := o.(client.Object); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.annotations[ns.GetName()] = maps.Clone(ns.GetAnnotations())
	}
}

func (n *Namespaces) drop(o any) {
	if d, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = d.Obj
	}
	if ns, ok := o.(client.Object); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.annotations, ns.GetName())
	}
}
