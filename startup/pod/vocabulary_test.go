// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"slices"
	"testing"
)

// What kubelets, runtimes and registries say, by the cause that it is told as; none says what its name would be.
var saidOfCauses = map[string][]string{
	"configmap_key_missing":   {`couldn't find key MODEL in ConfigMap models/server-args`, `configmap references non-existent config key: args.yaml`},
	"secret_key_missing":      {`couldn't find key token in Secret models/hub`, `MountVolume.SetUp failed for volume "hub" : references non-existent secret key: token, secret references non-existent secret key: token`},
	"configmap_missing":       {`configmap "server-args" not found`, `MountVolume.SetUp failed for volume "conf" : configmap "server-args" not found`},
	"secret_missing":          {`secret "hub" not found`, `MountVolume.SetUp failed for volume "hub" : secrets "hub" not found`},
	"pvc_missing":             {`persistentvolumeclaim "weights" not found`},
	"service_account_missing": {`error looking up service account models/x: serviceaccount "x" not found`},
	"must_not_run_as_root":    {`container has runAsNonRoot and image will run as root (pod: "llama_models(1)", container: main)`},
	"command_not_found": {
		`failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "vlm": executable file not found in $PATH: unknown`,
		`unable to start container process: error during container init: exec: "/opt/serve": stat /opt/serve: no such file or directory`,
	},
	"command_not_executable": {`exec: "/opt/serve": permission denied`, `exec /opt/serve: exec format error`, `exec: "/opt": is a directory`},
	"no_command":             {`Error: no command specified`},
	"gpu_runtime": {
		`nvidia-container-cli: initialization error: nvml error: driver not loaded`, `CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0`,
		`could not select device driver "" with capabilities: [[gpu]]`,
	},
	"memory_limit_too_low": {`container init was OOM-killed (memory limit too low?)`},
	"rate_limited":         {`toomanyrequests: You have reached your pull rate limit`, `429 Too Many Requests`, `pull QPS exceeded`},
	"unauthorized":         {`401 Unauthorized`, `pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`, `403 Forbidden`, `no basic auth credentials`},
	"wrong_platform":       {`no match for platform in manifest: not found`, `no matching manifest for linux/arm64 in the manifest list entries`},
	"not_found":            {`rpc error: code = NotFound desc = failed to pull and unpack image "x": x: not found`, `manifest unknown`, `name unknown: repository name not known to registry`},
	"disk_full":            {`write /var/lib/containerd/x: no space left on device`, `disk quota exceeded`},
	"untrusted_registry":   {`tls: failed to verify certificate: x509: certificate signed by unknown authority`, `http: server gave HTTP response to HTTPS client`},
	"registry_unreachable": {`dial tcp: lookup registry.test: no such host`, `dial tcp 10.0.0.1:443: i/o timeout`, `connection refused`, `context deadline exceeded`, `net/http: TLS handshake timeout`},
	"registry_error":       {`received unexpected HTTP status: 502 Bad Gateway`, `unexpected status from HEAD request: 503 Service Unavailable`, `500 Internal Server Error`},
	"bad_image":            {`couldn't parse image name: invalid reference format`, `failed to extract layer sha256:1: archive/tar: invalid tar header`, `failed size validation: 10 != 12: failed precondition`},
}

func TestEachCauseIsKnownByWhatIsSaid(t *testing.T) {
	eachText(t, causeTexts, saidOfCauses, func(name, text string) {
		if got := Cause(text); got != name {
			t.Errorf("%q is %s, want %s", text, got, name)
		}
		if got := Cause("Failed: " + Cause(text)); got != name {
			t.Errorf("%s is not known again: %s", name, got)
		}
	})
	for _, text := range []string{"", "back-off 5m0s restarting failed container", "context canceled"} {
		if got := Cause(text); got != "" {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// Clauses of the scheduler's plugins, by the reason that each is told as.
var saidOfNodes = map[string][]string{
	"scheduling_gated":     {"Scheduling is blocked due to non-empty scheduling gates"},
	"pvc_missing":          {`persistentvolumeclaim "weights" not found`},
	"pvc_unbound":          {"pod has unbound immediate PersistentVolumeClaims", "waiting for a volume to be provision by an external provisioner"},
	"volume_zone":          {"1 node(s) had volume node affinity conflict", "2 node(s) had no available volume zone"},
	"insufficient_gpu":     {"4 Insufficient nvidia.com/gpu", "1 Insufficient nvidia.com/mig-1g.10gb", "3 Insufficient amd.com/gpu", "2 cannot allocate all claims"},
	"insufficient_cpu":     {"1 Insufficient cpu"},
	"insufficient_memory":  {"1 Insufficient memory"},
	"insufficient_storage": {"2 Insufficient ephemeral-storage"},
	"too_many_pods":        {"1 Too many pods"},
	"taints":               {"1 node(s) had untolerated taint {nvidia.com/gpu: present}", "3 node(s) had taint {a: b} that the pod did not tolerate"},
	"node_affinity":        {"2 node(s) didn't match Pod's node affinity/selector"},
	"pod_affinity":         {"3 node(s) didn't match pod affinity rules", "1 node(s) didn't match pod anti-affinity rules"},
	"topology_spread":      {"3 node(s) didn't match pod topology spread constraints"},
	"volume":               {"1 node(s) exceed max volume count"},
	"quota":                {"exceeded quota: team-a"},
	"host_ports":           {"2 node(s) didn't have free ports for the requested pod ports"},
	"node_unschedulable":   {"1 node(s) were unschedulable", "1 node(s) were not ready"},
	"no_nodes":             {"0/0 nodes are available", "no nodes available to schedule pods"},
	"other":                {"3 node(s) were struck by lightning"},
}

func TestEachReasonOfTheSchedulerIsKnownByWhatItSays(t *testing.T) {
	eachText(t, schedulerTexts, saidOfNodes, func(name, clause string) {
		text := "0/5 nodes are available: " + clause + ". preemption: 0/5 nodes are available: 5 Insufficient cpu."
		if name == "no_nodes" {
			text = clause
		}
		if got := whyUnschedulable(text).names(); !slices.Equal(got, []string{name}) {
			t.Errorf("%q is %v, want %s", text, got, name)
		}
	})
}

// A checkpoint that a newer version wrote may have words that this one does not.
func TestAWordOfANewerVersionIsNone(t *testing.T) {
	if got := causes(1 << len(causeTexts)).first(); got != "" {
		t.Errorf("a cause that is not known is %q", got)
	}
	if got := unschedulable(1 << len(schedulerTexts)).names(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("a reason that is not known is %q", got)
	}
}

// eachText tries what others say of each word of a vocabulary.
func eachText(t *testing.T, words vocabulary, said map[string][]string, try func(name, text string)) {
	t.Helper()
	for _, w := range words {
		if len(said[w.name]) == 0 {
			t.Errorf("nothing is tried of %s", w.name)
		}
	}
	for name, texts := range said {
		for _, text := range texts {
			try(name, text)
		}
	}
}
