// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
)

// Versions from which an image can be mounted as a volume without a feature gate being set by hand.
// KEP-4639 is on by default since Kubernetes 1.35; containerd and CRI-O implement it since the versions named.
var imageVolumesSince = map[string]*version.Version{
	"kubernetes": version.MustParseGeneric("1.35"),
	"containerd": version.MustParseGeneric("2.1"),
	"cri-o":      version.MustParseGeneric("1.33"),
}

// nodeCheck is how often the nodes are looked at. Reading is from a cache.
const nodeCheck = 10 * time.Second

// Nodes knows whether image volumes can be used, for the pods that leave it to us.
type Nodes struct {
	reader    client.Reader
	discovery discovery.ServerVersionInterface
	policy    func() *config.Policy
	log       logr.Logger
	able      atomic.Bool
}

// NewNodes makes it; reader lists nodes from a cache. It must be added to the manager.
func NewNodes(reader client.Reader, d discovery.ServerVersionInterface, policy func() *config.Policy, log logr.Logger) *Nodes {
	return &Nodes{reader: reader, discovery: d, policy: policy, log: log}
}

// ImageVolumes is true if the API server and every GPU node can; false as long as there is no GPU node.
func (n *Nodes) ImageVolumes() bool { return n.able.Load() }

// NeedLeaderElection is false: every replica needs to know.
func (n *Nodes) NeedLeaderElection() bool { return false }

// Start looks again and again until the context ends.
func (n *Nodes) Start(ctx context.Context) error {
	ticker := time.NewTicker(nodeCheck)
	defer ticker.Stop()
	for {
		n.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (n *Nodes) look(ctx context.Context) {
	var nodes corev1.NodeList
	if err := n.reader.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		n.log.Error(err, "Can't list nodes; image volumes stay as they were")
		return
	}
	info, err := n.discovery.ServerVersion()
	if err != nil {
		n.log.V(1).Info("Can't read the API server's version; image volumes stay as they were", "error", err.Error())
		return
	}
	able := ImageVolumesUsable(info.GitVersion, nodes.Items, n.policy().Selection.GPUResources)
	if n.able.Swap(able) != able {
		n.log.Info("Image volumes changed", "usable", able)
	}
}

// ImageVolumesUsable tells if the API server can and every GPU node can, of which there is one at least.
func ImageVolumesUsable(server string, nodes []corev1.Node, resources []string) bool {
	if !atLeast(server, "kubernetes") {
		return false
	}
	found := false
	for i := range nodes {
		if !hasGPU(&nodes[i], resources) {
			continue
		}
		info := &nodes[i].Status.NodeInfo
		runtime, v, _ := strings.Cut(info.ContainerRuntimeVersion, "://")
		if !atLeast(info.KubeletVersion, "kubernetes") || !atLeast(v, runtime) {
			return false
		}
		found = true
	}
	return found
}

func hasGPU(n *corev1.Node, resources []string) bool {
	for name, quantity := range n.Status.Capacity {
		if !quantity.IsZero() && endpoint.MatchAny(resources, string(name)) {
			return true
		}
	}
	return false
}

// atLeast compares with the version from which image volumes work; an unknown product or version can't.
func atLeast(v, product string) bool {
	since, known := imageVolumesSince[product]
	have, err := version.ParseGeneric(strings.TrimPrefix(v, "v"))
	return known && err == nil && have.AtLeast(since)
}

// TrimNode is a cache transform: of a node only what is read here is kept.
func TrimNode(o any) (any, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	trimmed := &corev1.Node{}
	trimmed.Name, trimmed.ResourceVersion, trimmed.UID = n.Name, n.ResourceVersion, n.UID
	trimmed.Status.Capacity = n.Status.Capacity
	trimmed.Status.NodeInfo.KubeletVersion = n.Status.NodeInfo.KubeletVersion
	trimmed.Status.NodeInfo.ContainerRuntimeVersion = n.Status.NodeInfo.ContainerRuntimeVersion
	return trimmed, nil
}
