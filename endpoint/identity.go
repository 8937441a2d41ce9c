// SPDX-License-Identifier: Apache-2.0

// Package endpoint tells what a pod is: which container serves, which endpoint and model it belongs to, on what GPUs
// and with which engine. It is pure, and shared by injection and the watcher so that both name things alike.
package endpoint

import (
	"cmp"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

// Declared is what the owner of a pod may say of it.
type Declared struct {
	Container    string // the target, by name
	EndpointName string
	ModelName    string
	GPUType      string
	Engine       string
	Role         startup.Role
	HealthURL    string
	Group        string // the pods that carry the same name start as one; noGroup: the pod starts alone
	GroupSize    string
	GroupIndex   string // 0 leads; empty: that of the pod in its StatefulSet or Job
	// Entrypoint and Cmd are the image's, for a container without a command; both may be unknown.
	Entrypoint, Cmd []string
}

// Options are what is known beside the pod. A field that is not empty wins over what the pod tells.
type Options struct {
	Namespace    string   // of the request: a pod being created may not have one yet
	GPUResources []string // names of extended resources; a trailing * matches any rest
	Region       string
	Declared
	// Known, if set, tells what an image runs where Declared does not.
	Known func(image string) (entrypoint, cmd []string)
	// AnyClaim takes a device claim of which nothing tells what it is for a GPU's: somebody said that the pod is an endpoint.
	AnyClaim bool
}

// image is what a container's image runs, as far as that is known and of interest.
func (o *Options) image(c *Container) (entrypoint, cmd []string) {
	if o.Known == nil || len(c.Command) > 0 || len(o.Entrypoint)+len(o.Cmd) > 0 {
		return o.Entrypoint, o.Cmd
	}
	return o.Known(c.Image)
}

// Identity is what a pod is. Empty fields are unknown.
type Identity struct {
	startup.Endpoint        // NumGPUs is 0 if a device claim hides the number
	Position                // of the target; nowhere: none, or it is ambiguous
	WithGPU          int    // how many containers have a GPU
	GPU              bool   // the target has a GPU
	Claimed          bool   // the target's GPU comes from a device claim
	Unread           bool   // a container uses a device claim of which nothing tells what it is
	MIG              string // the profile, such as 1g.20gb
	Engine           string
	Role             startup.Role
	Command          Command

	InstanceType string
	GroupBy      string // what tells the group; of a pod that starts alone, why it does
	HealthURL    string // where the readiness probe asks, on localhost

	typeGuessed bool // GPUType comes from the name of a claim: the node knows better
}

// Identify reads a pod.
func Identify(pod *Pod, opts Options) Identity {
	id := Identity{
		Endpoint: startup.Endpoint{
			Namespace:    cmp.Or(opts.Namespace, pod.Metadata.Namespace),
			EndpointName: cmp.Or(opts.EndpointName, endpointName(pod)),
			GPUType:      cmp.Or(opts.GPUType, gpuTypeOf(&pod.Spec)),
		},
		InstanceType: placement(&pod.Spec, instanceTypeKeys),
	}
	var d devices
	id.Position, d, id.WithGPU, id.Unread = target(pod, &opts)
	id.Region = cmp.Or(opts.Region, placement(&pod.Spec, regionKeys))
	if id.Index < 0 {
		id.Group, id.GroupBy = group(pod, nil, &opts)
		id.Group = among(id.Group, "")
		return id
	}
	c := pod.Spec.Container(id.Position)
	id.Container = c.Name
	id.NumGPUs, id.MIG, id.GPU, id.Claimed = d.count, d.mig, d.has, d.claimed
	if id.GPUType == "" && id.Claimed {
		id.GPUType = gpuTypeOfClaims(pod, c)
		id.typeGuessed = id.GPUType != ""
	}
	if id.MIG == "" {
		id.MIG = migProfile(placement(&pod.Spec, gpuTypeKeys))
	}
	id.ImageTag = imageTag(c.Image)
	entrypoint, cmd := opts.image(c)
	id.Command = commandOf(c, entrypoint, cmd)
	id.Engine = cmp.Or(opts.Engine, id.Command.Engine)
	if id.Engine == "" && !id.Command.Known {
		id.Engine = engine.OfImage(imageRepository(c.Image))
	}
	id.Role = opts.Role
	if id.Role == "" {
		id.Role = role(pod, c, &id.Command, id.Init)
	}
	id.Group, id.GroupBy = group(pod, &id.Command, &opts)
	id.Group = among(id.Group, id.Role)
	id.ModelName = cmp.Or(opts.ModelName, modelName(c, &id.Command, id.Engine))
	id.Region = cmp.Or(id.Region, c.Literal(startup.EnvAWSRegion), c.Literal(startup.EnvAWSDefault))
	if id.Role == startup.RoleServer {
		id.HealthURL = cmp.Or(opts.HealthURL, healthURL(pod, c, id.Engine))
	}
	return id
}

// Subject is what the pod's spans and metrics say about it. Uid, name and node are known only once the pod exists.
func (id Identity) Subject(podUID, podName, nodeName, clusterName string, hash startup.Hash) startup.Subject {
	return startup.Subject{
		Endpoint: id.Endpoint, PodUID: podUID, PodName: podName, NodeName: nodeName, ClusterName: clusterName, Hash: hash,
	}
}

// WithNode fills what only the node's labels tell.
func (id Identity) WithNode(labels map[string]string) Identity {
	id.InstanceType = cmp.Or(id.InstanceType, firstOf(labels, instanceTypeKeys))
	if id.GPUType == "" || id.typeGuessed {
		named := ""
		for _, key := range gpuTypeKeys {
			named = cmp.Or(named, gpuOfLabel(key, labels[key]))
		}
		id.GPUType = cmp.Or(named, gpuTypeOfInstance(id.InstanceType), id.GPUType)
	}
	id.Region = cmp.Or(id.Region, firstOf(labels, regionKeys))
	if id.MIG == "" {
		id.MIG = migProfile(labels[productLabel])
	}
	return id
}

// target is where the container stands whose start is traced, nowhere if none can be told, with its GPUs; how many have a GPU,
// and whether one has a claim that may be a GPU's.
func target(pod *Pod, opts *Options) (at Position, its devices, withGPU int, unread bool) {
	nowhere, best := Position{Index: -1}, 0
	at = nowhere
	for pos, c := range pod.Spec.Lasting() {
		d := gpus(pod, c, opts)
		unread = unread || d.unread
		if d.has {
			withGPU++
		}
		if rank := rank(c.Name, d.has, opts); rank > best {
			at, its, best = pos, d, rank
		}
	}
	if best == 1 && withGPU > 1 {
		return nowhere, its, withGPU, unread // the container annotation decides
	}
	return at, its, withGPU, unread
}

// rank is how much a container looks like the one that serves; 0: it does not.
func rank(name string, gpu bool, opts *Options) int {
	switch {
	case opts.Container != "":
		if name == opts.Container {
			return 9
		}
	case !gpu:
	case name == "main":
		return 4
	case name == "lws-leader":
		return 3
	case name == "lws-worker":
		return 2
	default:
		return 1
	}
	return 0
}
