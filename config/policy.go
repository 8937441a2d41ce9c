// SPDX-License-Identifier: Apache-2.0

// Package config is what an operator and the owner of a pod may say: the policy file, the annotations of namespaces and
// pods, and which of them wins (pod, then namespace, then policy, then default).
package config

import (
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Policy is the policy file. example.yaml documents every field.
type Policy struct {
	ClusterName     string          `yaml:"clusterName"`
	Region          string          `yaml:"region"`
	TraceID         startup.Hash    `yaml:"traceID"`
	OTLP            OTLP            `yaml:"otlp"`
	Selection       Selection       `yaml:"selection"`
	Features        Features        `yaml:"features"`
	Wrapper         Wrapper         `yaml:"wrapper"`
	VLLMFlag        string          `yaml:"vllmFlag"`
	RequestSampling RequestSampling `yaml:"requestSampling"`
	StartupTraces   StartupTraces   `yaml:"startupTraces"`
	Logs            Logs            `yaml:"logs"`
	PodEvents       bool            `yaml:"podEvents"` // an Event on the pod when a start is over
	KnownImages     []KnownImage    `yaml:"knownImages"`
	CanaryPercent   int             `yaml:"canaryPercent"` // 0 to 100
	RegistryLookup  bool            `yaml:"registryLookup"`

	// Digest is of the file that a Store read: 12 hex digits of its SHA-256. Else it is empty.
	Digest string `yaml:"-"`
}

// OTLP is where telemetry goes.
type OTLP struct {
	Endpoint string `yaml:"endpoint"` // may refer to the container's variables as $(NAME)
	Protocol string `yaml:"protocol"`
}

// Selection is which pods are endpoints.
type Selection struct {
	LabelKey      string   `yaml:"labelKey"`
	LabelValues   []string `yaml:"labelValues"`  // empty: any value
	RequireLabel  bool     `yaml:"requireLabel"` // a recognised engine alone is not enough
	RequireEngine bool     `yaml:"requireEngine"`
	GPUResources  []string `yaml:"gpuResources"` // a trailing * matches any rest
}

// Features switches parts of the injection off.
type Features struct {
	Env             bool `yaml:"env"`
	Wrapper         bool `yaml:"wrapper"`
	RequestSampling bool `yaml:"requestSampling"`
}

// Wrapper is how the wrapper gets into a pod and how it behaves there.
type Wrapper struct {
	Delivery        Delivery      `yaml:"delivery"`
	Image           string        `yaml:"image"`
	ImagePullPolicy string        `yaml:"imagePullPolicy"`
	RuntimeClasses  []string      `yaml:"runtimeClasses"` // whose containers can mount an image as a volume
	CPU             string        `yaml:"cpu"`            // of the init container, at most: it never exceeds the pod's own
	Memory          string        `yaml:"memory"`         // likewise
	Timeout         time.Duration `yaml:"timeout"`
	FlushTimeout    time.Duration `yaml:"flushTimeout"`
	Startupz        string        `yaml:"startupz"` // host:port, empty: not served
	StatusFile      string        `yaml:"statusFile"`
	UnknownEngines  bool          `yaml:"unknownEngines"` // wrap labelled endpoints whose engine is not recognised
}

// RequestSampling is how vLLM samples its request traces.
type RequestSampling struct {
	Sampler string  `yaml:"sampler"` // a value of OTEL_TRACES_SAMPLER, or off
	Ratio   float64 `yaml:"ratio"`
}

// KnownImage tells the entrypoint of images whose pods give no command.
type KnownImage struct {
	Image      string   `yaml:"image"` // without tag; * matches any run of characters
	Entrypoint []string `yaml:"entrypoint"`
	Cmd        []string `yaml:"cmd"`
}

// Default is the policy without a file.
func Default() *Policy {
	return &Policy{
		TraceID: startup.MD5,
		OTLP:    OTLP{Protocol: startup.ProtocolGRPC},
		Selection: Selection{
			LabelKey:    "managed-by",
			LabelValues: []string{"model-engine"},
			GPUResources: []string{
				"nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-*", "amd.com/gpu", "gpu.intel.com/i915",
				"gpu.intel.com/xe", "habana.ai/gaudi", "google.com/tpu", "aws.amazon.com/neuron", "aws.amazon.com/neuroncore",
				"aws.amazon.com/neurondevice", "huawei.com/Ascend*",
			},
		},
		Features: Features{Env: true, Wrapper: true, RequestSampling: true},
		Wrapper: Wrapper{
			Delivery:        DeliveryAuto,
			ImagePullPolicy: "IfNotPresent",
			RuntimeClasses: []string{
				"nvidia", "nvidia-cdi", "nvidia-legacy", "nvidia-experimental", "nvidia-container-runtime", "amd", "habana", "runc", "crun", "youki",
			},
		},
		VLLMFlag:        startup.VLLMFlagAuto,
		RequestSampling: RequestSampling{Sampler: "parentbased_traceidratio", Ratio: 0.01},
		StartupTraces:   KeepStartupTraces,
		Logs:            LogsFallback,
		PodEvents:       true,
		CanaryPercent:   100,
	}
}
