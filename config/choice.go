// SPDX-License-Identifier: Apache-2.0

package config

// Delivery is how the wrapper's binary gets into a pod.
type Delivery string

// Deliveries. Auto is the image volume where every GPU node and the API server can, else the init container.
const (
	DeliveryAuto          Delivery = "auto"
	DeliveryImageVolume   Delivery = "image-volume"
	DeliveryInitContainer Delivery = "init-container"
	DeliveryOff           Delivery = "off"
)

// StartupTraces is what samplers are told about startup spans; metrics are not affected.
type StartupTraces string

// StartupTraces settings: sampling.priority 2 or -1.
const (
	KeepStartupTraces StartupTraces = "keep"
	DropStartupTraces StartupTraces = "drop"
)

// Logs is whether the watcher reads the log of the container for what happens inside of it.
type Logs string

// Logs settings. Fallback reads where the wrapper is not in; always reads beside it, too, for comparing.
const (
	LogsOff      Logs = "off"
	LogsFallback Logs = "fallback"
	LogsAlways   Logs = "always"
)
