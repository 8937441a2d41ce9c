// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// podChecks are those that a linter of manifests makes of pods, each with something that it must find. Linters for charts
// are no Go modules that can be required, so the list is our own.
var podChecks = map[string]struct {
	holds func(*corev1.PodSpec, *corev1.Container) bool
	spoil func(*corev1.PodSpec, *corev1.Container)
}{
	"no host namespaces": {
		func(p *corev1.PodSpec, _ *corev1.Container) bool { return !p.HostNetwork && !p.HostPID && !p.HostIPC },
		func(p *corev1.PodSpec, _ *corev1.Container) { p.HostPID = true },
	},
	"no path of the host": {
		func(p *corev1.PodSpec, _ *corev1.Container) bool {
			return !slices.ContainsFunc(p.Volumes, func(v corev1.Volume) bool { return v.HostPath != nil })
		},
		func(p *corev1.PodSpec, _ *corev1.Container) {
			p.Volumes = append(p.Volumes, corev1.Volume{VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}})
		},
	},
	"no port of the host": {
		func(_ *corev1.PodSpec, c *corev1.Container) bool {
			return !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.HostPort != 0 })
		},
		func(_ *corev1.PodSpec, c *corev1.Container) {
			c.Ports = append(c.Ports, corev1.ContainerPort{HostPort: 1})
		},
	},
	"not root, by number": {
		func(p *corev1.PodSpec, _ *corev1.Container) bool {
			s := p.SecurityContext
			return s != nil && s.RunAsNonRoot != nil && *s.RunAsNonRoot && s.RunAsUser != nil && *s.RunAsUser >= 10000
		},
		func(p *corev1.PodSpec, _ *corev1.Container) { p.SecurityContext.RunAsUser = new(int64) },
	},
	"the runtime's seccomp profile": {
		func(p *corev1.PodSpec, _ *corev1.Container) bool {
			return p.SecurityContext.SeccompProfile != nil && p.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault
		},
		func(p *corev1.PodSpec, _ *corev1.Container) { p.SecurityContext.SeccompProfile = nil },
	},
	"no privilege and no way to one": {
		func(_ *corev1.PodSpec, c *corev1.Container) bool {
			s := c.SecurityContext
			return s != nil && s.Privileged == nil && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation
		},
		func(_ *corev1.PodSpec, c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = nil },
	},
	"no capability": {
		func(_ *corev1.PodSpec, c *corev1.Container) bool {
			caps := c.SecurityContext.Capabilities
			return caps != nil && slices.Equal(caps.Drop, []corev1.Capability{"ALL"}) && len(caps.Add) == 0
		},
		func(_ *corev1.PodSpec, c *corev1.Container) {
			c.SecurityContext.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"SYS_PTRACE"}}
		},
	},
	"a root file system that can't be written": {
		func(_ *corev1.PodSpec, c *corev1.Container) bool {
			return c.SecurityContext.ReadOnlyRootFilesystem != nil && *c.SecurityContext.ReadOnlyRootFilesystem
		},
		func(_ *corev1.PodSpec, c *corev1.Container) { c.SecurityContext.ReadOnlyRootFilesystem = nil },
	},
	"requests of CPU and memory, and a limit of memory": {
		func(_ *corev1.PodSpec, c *corev1.Container) bool {
			r := c.Resources
			return !r.Requests.Cpu().IsZero() && !r.Requests.Memory().IsZero() && !r.Limits.Memory().IsZero()
		},
		func(_ *corev1.PodSpec, c *corev1.Container) { delete(c.Resources.Requests, corev1.ResourceCPU) },
	},
	"an image with a tag that stays": {
		func(_ *corev1.PodSpec, c *corev1.Container) bool {
			_, tag, found := strings.Cut(c.Image[strings.LastIndex(c.Image, "/")+1:], ":")
			return found && tag != "" && tag != "latest"
		},
		func(_ *corev1.PodSpec, c *corev1.Container) { c.Image = "registry:5000/coldtrace" },
	},
	"a service account of its own, or no token": {
		func(p *corev1.PodSpec, _ *corev1.Container) bool {
			return p.ServiceAccountName != "" && p.ServiceAccountName != "default" ||
				p.AutomountServiceAccountToken != nil && !*p.AutomountServiceAccountToken
		},
		func(p *corev1.PodSpec, _ *corev1.Container) {
			p.ServiceAccountName, p.AutomountServiceAccountToken = "", nil
		},
	},
	"no Secret in a variable but the one that is named": {
		func(_ *corev1.PodSpec, c *corev1.Container) bool {
			return !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
				return e.Name != "DD_API_KEY" && e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil
			})
		},
		func(_ *corev1.PodSpec, c *corev1.Container) {
			c.Env = append(c.Env, corev1.EnvVar{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}})
		},
	},
	"a readiness probe": {
		func(p *corev1.PodSpec, c *corev1.Container) bool {
			return p.RestartPolicy == corev1.RestartPolicyNever || c.ReadinessProbe != nil // a check that runs once needs none
		},
		func(p *corev1.PodSpec, c *corev1.Container) { p.RestartPolicy, c.ReadinessProbe = "", nil },
	},
}

func TestPodsHaveWhatALinterLooksFor(t *testing.T) {
	for shape, values := range shapes {
		seen := 0
		for _, doc := range render(t, values) {
			kind, spec := podOf(t, doc)
			if spec == nil {
				continue
			}
			seen++
			for i := range spec.Containers {
				for _, name := range slices.Sorted(maps.Keys(podChecks)) {
					if !podChecks[name].holds(spec, &spec.Containers[i]) {
						t.Errorf("%s: %s, container %s: not %q", shape, kind, spec.Containers[i].Name, name)
					}
				}
			}
			if len(spec.InitContainers) > 0 {
				t.Errorf("%s: %s has init containers, which no check looks at", shape, kind)
			}
		}
		if seen < 2 {
			t.Errorf("%s: only %d kinds of pods", shape, seen)
		}
	}
}

func TestEachCheckOfThePodsFindsWhatItLooksFor(t *testing.T) {
	for _, doc := range render(t, nil) {
		if kind, _ := podOf(t, doc); kind != "Deployment" {
			continue
		}
		for name, check := range podChecks {
			_, spec := podOf(t, doc)
			check.spoil(spec, &spec.Containers[0])
			if check.holds(spec, &spec.Containers[0]) {
				t.Errorf("%q holds for a pod without it", name)
			}
		}
		return
	}
	t.Error("no Deployment")
}

// podOf is the pod of an object that makes some, with the kind; nil for other objects.
func podOf(t *testing.T, doc []byte) (string, *corev1.PodSpec) {
	t.Helper()
	var o struct {
		metav1.TypeMeta `json:",inline"`
		Spec            struct{ Template struct{ Spec corev1.PodSpec } }
	}
	if must(t, yaml.Unmarshal(doc, &o.TypeMeta)); !slices.Contains([]string{"Deployment", "DaemonSet", "Job", "Pod"}, o.Kind) {
		return o.Kind, nil
	}
	if o.Kind == "Pod" {
		var p corev1.Pod
		must(t, yaml.Unmarshal(doc, &p))
		return o.Kind, &p.Spec
	}
	must(t, yaml.Unmarshal(doc, &o))
	return o.Kind, &o.Spec.Template.Spec
}

// TestRolesHaveWhatALinterLooksFor: every shape, and the pull Secrets' roles.
func TestRolesHaveWhatALinterLooksFor(t *testing.T) {
	all := maps.Clone(shapes)
	all["pull Secrets"] = []string{"pullSecretNamespaces={team}"}
	for shape, values := range all {
		for _, doc := range render(t, values) {
			var role rbacv1.ClusterRole
			must(t, yaml.Unmarshal(doc, &role.TypeMeta))
			if role.Kind != "ClusterRole" && role.Kind != "Role" {
				continue
			}
			must(t, yaml.Unmarshal(doc, &role))
			for _, r := range role.Rules {
				if fault := faultOf(role.Kind, r); fault != "" {
					t.Errorf("%s: %s %s: %s in %v", shape, role.Kind, role.Name, fault, r)
				}
			}
		}
	}
	for fault, rule := range map[string]rbacv1.PolicyRule{
		"a wildcard":               {Verbs: []string{"*"}, Resources: []string{"pods"}},
		"secrets of the cluster":   {Verbs: []string{"get"}, Resources: []string{"secrets"}},
		"a way to more rights":     {Verbs: []string{"escalate"}, Resources: []string{"roles"}},
		"changes to pods or nodes": {Verbs: []string{"delete"}, Resources: []string{"pods"}},
		"a way into pods":          {Verbs: []string{"create"}, Resources: []string{"pods/exec"}},
	} {
		if got := faultOf("ClusterRole", rule); got != fault {
			t.Errorf("%v: %q, want %q", rule, got, fault)
		}
	}
}

func faultOf(kind string, r rbacv1.PolicyRule) string {
	has := func(list []string, wanted ...string) bool {
		return slices.ContainsFunc(wanted, func(s string) bool { return slices.Contains(list, s) })
	}
	switch {
	case has(r.Verbs, "*"), has(r.Resources, "*"), has(r.APIGroups, "*"), len(r.NonResourceURLs) > 0:
		return "a wildcard"
	case kind == "ClusterRole" && has(r.Resources, "secrets"):
		return "secrets of the cluster"
	case has(r.Verbs, "escalate", "bind", "impersonate"):
		return "a way to more rights"
	case has(r.Resources, "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "nodes/proxy", "pods/ephemeralcontainers", "serviceaccounts/token"):
		return "a way into pods"
	case has(r.Resources, "pods", "nodes", "namespaces", "deployments") && has(r.Verbs, "create", "update", "patch", "delete", "deletecollection"):
		return "changes to pods or nodes"
	}
	return ""
}
