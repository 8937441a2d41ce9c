// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// endpointLabels name the endpoint a pod belongs to, the most telling first.
var endpointLabels = []string{
	"endpoint_name",                      // model-engine
	"launch_job_id",                      // model-engine's jobs
	"serving.kserve.io/inferenceservice", // KServe
	"app.kubernetes.io/inferenceservice", // KServe's LLMInferenceService
	"llm-d.ai/model",                     // llm-d
	"model.aibrix.ai/name",               // AIBrix
	"kaito.sh/workspace",                 // KAITO
	"ray.io/originated-from-cr-name",     // KubeRay: the RayService or RayJob
	"ray.io/cluster",                     // KubeRay
	lwsName,                              // LWS
	"model",                              // vLLM production stack
	"nvidia.com/dynamo-graph-deployment-name",
	"nvidia.com/dynamo-namespace",  // Dynamo
	"app.nvidia.com/nim-service",   // NIM operator
	"app.kubernetes.io/instance",   // Helm's recommended labels
	"app.kubernetes.io/name",       //
	"batch.kubernetes.io/job-name", // Jobs
	"app",                          //
}

// endpointName is the endpoint's, else the owner's, without what its controllers appended.
func endpointName(pod *Pod) string {
	name := firstOf(pod.Metadata.Labels, endpointLabels)
	if o := pod.Metadata.Controller(); name == "" && o != nil {
		_, name = Workload(pod.Metadata.Labels, o.Kind, o.Name)
	}
	return name
}

// firstOf is the value of the first of some labels that has one.
func firstOf(labels map[string]string, keys []string) (value string) {
	for _, key := range keys {
		value = cmp.Or(value, labels[key])
	}
	return value
}

// Workload is what a person made of which a pod's controller, of the kind and name, is a part: a Deployment rather than one of
// its ReplicaSets, which a `kubectl rollout restart` replaces. It is told by the labels that the controllers put on pods;
// where they tell nothing, it is the controller itself.
func Workload(labels map[string]string, kind, name string) (string, string) {
	if hash := labels["pod-template-hash"]; hash != "" && kind == "ReplicaSet" {
		return "Deployment", strings.TrimSuffix(name, "-"+hash)
	}
	if hash := labels["rollouts-pod-template-hash"]; hash != "" && kind == "ReplicaSet" {
		return "Rollout", strings.TrimSuffix(name, "-"+hash)
	}
	if of := labels[lwsName]; of != "" {
		return "LeaderWorkerSet", of
	}
	if of := labels["ray.io/originated-from-cr-name"]; of != "" && kind == "RayCluster" {
		return cmp.Or(labels["ray.io/originated-from-crd"], kind), of
	}
	return kind, name
}

// SplitImage takes an image's name apart: repository, :tag, @digest.
func SplitImage(image string) (repository, tag, digest string) {
	repository, digest, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository, tag = repository[:i], repository[i+1:]
	}
	return repository, tag, digest
}

// imageTag is the tag of an image, else the start of its digest, else empty.
func imageTag(image string) string {
	_, tag, digest := SplitImage(image)
	if algorithm, hex, ok := strings.Cut(digest, ":"); tag == "" && ok && len(hex) >= 12 {
		return algorithm + ":" + hex[:12]
	}
	return tag
}

// imageRepository is the image without tag and digest.
func imageRepository(image string) string {
	repository, _, _ := SplitImage(image)
	return repository
}

// role is what the container becomes. A sidecar of a job is none: it serves the container that is.
func role(pod *Pod, c *Container, l *Command, sidecar bool) startup.Role {
	labels := pod.Metadata.Labels
	switch {
	case l.Role != "":
		return l.Role
	case c.Name == "lws-worker", labels["ray.io/node-type"] == "worker":
		return startup.RoleWorker
	case labels["role"] == "worker" && labels[lwsName] != "":
		return startup.RoleWorker
	case c.ReadinessProbe == nil && number(labels[lwsIndex]) > 0:
		return startup.RoleWorker
	case sidecar:
		return startup.RoleServer
	case labels["launch_job_id"] != "":
		return startup.RoleBatch
	}
	if o := pod.Metadata.Controller(); o != nil && o.Kind == "Job" && c.ReadinessProbe == nil {
		return startup.RoleBatch
	}
	return startup.RoleServer
}
