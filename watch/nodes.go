// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/startup"
)

// maxNodes bounds what is remembered of nodes; beyond it any one is forgotten and asked for again.
const maxNodes = 4096

// nodes remembers what the labels of a node say of its GPUs and place. Labels of a node are taken to stay.
type nodes struct {
	client metadata.Interface
	mu     sync.Mutex
	known  map[string]place
}

type place struct{ gpuType, region, instanceType string }

func newNodes(client metadata.Interface) *nodes {
	return &nodes{client: client, known: map[string]place{}}
}

// fill adds to the subject what only its node tells.
func (n *nodes) fill(ctx context.Context, subject *startup.Subject) error {
	p, err := n.place(ctx, subject.NodeName)
	if err != nil {
		return err
	}
	if subject.GPUType == "" {
		subject.GPUType = p.gpuType
	}
	if subject.Region == "" {
		subject.Region = p.region
	}
	subject.InstanceType = p.instanceType // what the pod asked for is not what it got
	return nil
}

func (n *nodes) place(ctx context.Context, name string) (place, error) {
	n.mu.Lock()
	p, ok := n.known[name]
	n.mu.Unlock()
	if ok {
		return p, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	node, err := n.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "nodes"}).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err): // a node that is gone already has nothing to tell
	case err != nil:
		return place{}, fmt.Errorf("get node: %w", err)
	default:
		id := endpoint.Identity{}.WithNode(node.Labels)
		p = place{id.GPUType, id.Region, id.InstanceType}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= maxNodes {
		for other := range n.known {
			delete(n.known, other)
			break
		}
	}
	n.known[name] = p
	return p, nil
}
