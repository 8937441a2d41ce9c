// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// config is what the environment says.
type config struct {
	subject    startup.Subject
	role       startup.Role
	engine     string
	healthURL  string
	timeout    time.Duration
	flush      time.Duration
	startupz   string
	statusFile string
}

// fromEnv reads the environment. What cannot be read has its default: nobody is there to be told.
func fromEnv() config {
	get := func(name string) string { return strings.TrimSpace(os.Getenv(name)) }
	c := config{
		subject: startup.Subject{
			Endpoint:    startup.Endpoint{GPUType: get(startup.EnvGPUType), Group: startup.GroupOf(get(startup.EnvGroup), get(startup.EnvPodUID))},
			PodUID:      get(startup.EnvPodUID),
			PodName:     get(startup.EnvPodName),
			NodeName:    get(startup.EnvNodeName),
			ClusterName: get(startup.EnvClusterName),
		},
		role:       startup.Role(get(startup.EnvRole)),
		engine:     get(startup.EnvEngine),
		healthURL:  get(startup.EnvHealthURL),
		timeout:    startup.Timeout(get(startup.EnvTimeout)),
		flush:      startup.FlushTimeout(get(startup.EnvFlushTimeout)),
		startupz:   get(startup.EnvStartupz),
		statusFile: get(startup.EnvStatusFile),
	}
	for name, text := range c.subject.Variables() {
		*text = get(name)
	}
	if c.subject.Region == "" {
		c.subject.Region = get(startup.EnvAWSRegion)
	}
	if c.role != startup.RoleBatch && c.role != startup.RoleWorker {
		c.role = startup.RoleServer
	}
	c.subject.NumGPUs, _ = strconv.Atoi(get(startup.EnvNumGPUs))
	c.subject.SamplingPriority, _ = strconv.Atoi(get(startup.EnvSamplePriority))
	c.subject.Hash = startup.HashOf(get(startup.EnvTraceIDHash))
	return c
}
