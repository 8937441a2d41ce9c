// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
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
	"leaderworkerset.sigs.k8s.io/name",   // LWS
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
	for _, label := range endpointLabels {
		if v := pod.Metadata.Labels[label]; v != "" {
			return v
		}
	}
	o := pod.Metadata.Controller()
	if o == nil {
		return ""
	}
	if hash := pod.Metadata.Labels["pod-template-hash"]; hash != "" {
		return strings.TrimSuffix(o.Name, "-"+hash)
	}
	return o.Name
}

// imageTag is the tag of an image, else the start of its digest, else empty.
func imageTag(image string) string {
	ref, digest, _ := strings.Cut(image, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[i+1:]
	}
	if algorithm, hex, ok := strings.Cut(digest, ":"); ok && len(hex) >= 12 {
		return algorithm + ":" + hex[:12]
	}
	return ""
}

// imageRepository is the image without tag and digest.
func imageRepository(image string) string {
	ref, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i]
	}
	return ref
}

// role is what the container becomes. A sidecar of a job is none: it serves the container that is.
func role(pod *Pod, c *Container, l *Launch, sidecar bool) startup.Role {
	labels := pod.Metadata.Labels
	switch {
	case l.Role != "":
		return l.Role
	case c.Name == "lws-worker", labels["ray.io/node-type"] == "worker":
		return startup.RoleWorker
	case labels["role"] == "worker" && labels["leaderworkerset.sigs.k8s.io/name"] != "":
		return startup.RoleWorker
	case c.ReadinessProbe == nil && followsLeader(labels["leaderworkerset.sigs.k8s.io/worker-index"]):
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

// followsLeader tells any but the first pod of a group by its index. A group's pods may all be servers, each with a probe.
func followsLeader(index string) bool { return index != "" && index != "0" }
