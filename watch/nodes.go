// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/lru"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/startup"
)

// maxNodes bounds what is remembered of nodes; beyond it one is forgotten and asked for again.
const maxNodes = 4096

// nodes remembers what the labels of a node say of its GPUs and place. Labels of a node are taken to stay.
type nodes struct {
	client metadata.Interface
	known  *lru.Cache // of places by name
}

type place struct{ gpuType, region, instanceType string }

func newNodes(client metadata.Interface) *nodes {
	return &nodes{client: client, known: lru.New(maxNodes)}
}

// fill adds to the subject what only its node tells.
func (n *nodes) fill(ctx context.Context, subject *startup.Subject) error {
	p, err := n.place(ctx, subject.NodeName)
	if err != nil {
		return err
	}
	subject.GPUType, subject.Region = cmp.Or(subject.GPUType, p.gpuType), cmp.Or(subject.Region, p.region)
	subject.InstanceType = p.instanceType // what the pod asked for is not what it got
	return nil
}

func (n *nodes) place(ctx context.Context, name string) (place, error) {
	if known, ok := n.known.Get(name); ok {
		return known.(place), nil //nolint:forcetypeassert // nothing else is put in
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	node, err := n.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "nodes"}).Get(ctx, name, metav1.GetOptions{})
	var p place
	switch {
	case apierrors.IsNotFound(err): // a node that is gone already has nothing to tell
	case err != nil:
		return place{}, fmt.Errorf("get node: %w", err)
	default:
		id := endpoint.Identity{}.WithNode(node.Labels)
		p = place{id.GPUType, id.Region, id.InstanceType}
	}
	n.known.Add(name, p)
	return p, nil
}
