// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helper "k8s.io/component-helpers/resource"
	psaapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	kjson "sigs.k8s.io/json"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// checkProperties injects a pod given as JSON and checks what must hold for any pod. It reports problems, and false if
// the pod can't be decoded.
func checkProperties(raw []byte, req inject.Request) (problems []string, ok bool) {
	pod := new(endpoint.Pod)
	if json.Unmarshal(raw, pod) != nil || len(pod.Spec.Containers) == 0 || !canonical(raw, pod) {
		return nil, false
	}
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	req.Pod = pod
	ops, decision := inject.Pod(req)
	after, err := applyOps(raw, ops)
	if err != nil {
		return []string{fmt.Sprintf("patch does not apply: %v (decision %s)", err, decision.Outcome)}, true
	}
	for _, p := range onlyAdditions(number(raw), number(after)) {
		problem("%s", p)
	}
	again := req
	again.Pod = new(endpoint.Pod)
	if err := json.Unmarshal(after, again.Pod); err != nil {
		problem("the result does not decode: %v", err)
		return problems, true
	}
	if ops, d := inject.Pod(again); len(ops) != 0 {
		problem("reinvocation (%s) still wants %v", d.Outcome, ops)
	}
	var before, injected corev1.Pod
	if json.Unmarshal(raw, &before) == nil && json.Unmarshal(after, &injected) == nil && plausible(&before) {
		problems = append(problems, sameFootprint(&before, &injected)...)
		problems = append(problems, noDuplicates(&before, &injected)...)
		problems = append(problems, samePodSecurity(&before, &injected)...)
		problems = append(problems, sameWords(&before, &injected)...)
	}
	return problems, true
}

// canonical tells if a pod is written as API servers write them: metadata is there, and names are in their right case,
// which encoding/json does not mind.
func canonical(raw []byte, decoded *endpoint.Pod) bool {
	top, _ := number(raw).(map[string]any)
	strict := new(endpoint.Pod)
	return top["metadata"] != nil && kjson.UnmarshalCaseSensitivePreserveInts(raw, strict) == nil && reflect.DeepEqual(strict, decoded)
}

func applyOps(raw []byte, ops []inject.Operation) ([]byte, error) {
	if len(ops) == 0 {
		return raw, nil
	}
	encoded, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	p, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return nil, err
	}
	return p.Apply(raw)
}

// number decodes JSON and keeps numbers as they are written.
func number(raw []byte) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	_ = dec.Decode(&v) // checked before
	return v
}

// onlyAdditions compares two pods: everything of the first is in the second, at its place, but for the target's command,
// which the wrapper precedes, and the one annotation that lists volumes.
func onlyAdditions(before, after any) []string {
	var problems []string
	var walk func(path string, a, b any)
	walk = func(path string, a, b any) {
		switch a := a.(type) {
		case map[string]any:
			m, ok := b.(map[string]any)
			if !ok {
				problems = append(problems, path+" is no object any more")
				return
			}
			for key, v := range a {
				w, there := m[key]
				switch {
				case !there:
					problems = append(problems, path+"/"+key+" is gone")
				case path == "/metadata/annotations" && key == "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes":
					if !strings.HasPrefix(fmt.Sprint(w), fmt.Sprint(v)) {
						problems = append(problems, key+" lost what it had")
					}
				case path == "/metadata/annotations" && key == config.StatusAnnotation:
				default:
					walk(path+"/"+key, v, w)
				}
			}
		case []any:
			l, ok := b.([]any)
			if !ok || len(l) < len(a) {
				problems = append(problems, path+" is shorter")
				return
			}
			if path == "/spec/initContainers" { // one may have come between
				l = slices.DeleteFunc(slices.Clone(l), func(c any) bool { return installer(c) && !slices.ContainsFunc(a, installer) })
			}
			if (strings.HasPrefix(path, "/spec/containers/") || strings.HasPrefix(path, "/spec/initContainers/")) && (strings.HasSuffix(path, "/command") || strings.HasSuffix(path, "/args")) {
				return // sameWords looks at these
			}
			appended := map[string]bool{"env": true, "volumes": true, "initContainers": true, "volumeMounts": true}
			if len(l) > len(a) && !appended[path[strings.LastIndexByte(path, '/')+1:]] {
				problems = append(problems, path+" grew")
			}
			for i := range a {
				walk(fmt.Sprintf("%s/%d", path, i), a[i], l[i])
			}
		case nil: // null is absent
		default:
			if !reflect.DeepEqual(a, b) {
				problems = append(problems, fmt.Sprintf("%s changed from %v to %v", path, a, b))
			}
		}
	}
	walk("", before, after)
	return problems
}

func installer(container any) bool {
	c, ok := container.(map[string]any)
	return ok && c["name"] == "coldtrace-install"
}

// sameWords checks that commands and args are as they were, but for the wrapper in front and the flag in one place.
func sameWords(before, after *corev1.Pod) []string {
	var problems []string
	all := func(pod *corev1.Pod) []corev1.Container {
		own := slices.ContainsFunc(before.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == "coldtrace-install" })
		list := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
		return slices.DeleteFunc(list, func(c corev1.Container) bool { return !own && c.Name == "coldtrace-install" })
	}
	is := all(after)
	for i, b := range all(before) {
		a := is[i]
		old := slices.Concat(b.Command, b.Args)
		now, _ := endpoint.Unwrap(slices.Concat(a.Command, a.Args))
		if was, n := endpoint.Unwrap(old); n > 0 {
			old = was
		}
		if len(b.Command) == 0 && len(a.Command) > 0 && len(a.Args) == len(b.Args) {
			continue // the image's entrypoint, which admission knows
		}
		for j := range now {
			now[j] = strings.Replace(now[j], startup.VLLMExecPlaceholder+" ", "", 1)
			now[j] = strings.Replace(now[j], ` "--otlp-traces-endpoint=$(OTEL_EXPORTER_OTLP_ENDPOINT)"`, "", 1)
		}
		now = slices.DeleteFunc(now, func(s string) bool { return s == "--otlp-traces-endpoint=$(OTEL_EXPORTER_OTLP_ENDPOINT)" })
		for j := range old {
			old[j] = strings.Replace(old[j], startup.VLLMExecPlaceholder+" ", "", 1)
		}
		if !slices.Equal(old, now) {
			problems = append(problems, fmt.Sprintf("container %d runs %q, was %q", i, now, old))
		}
	}
	return problems
}

// plausible keeps pods that an API server would not refuse for their resources.
func plausible(pod *corev1.Pod) bool {
	seen := map[string]bool{}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == "" || seen[c.Name] {
			return false
		}
		seen[c.Name] = true
		for name, q := range c.Resources.Requests {
			if limit, ok := c.Resources.Limits[name]; q.Sign() < 0 || ok && limit.Cmp(q) < 0 {
				return false
			}
		}
		for _, q := range c.Resources.Limits {
			if q.Sign() < 0 {
				return false
			}
		}
	}
	return len(pod.Spec.Containers) > 0
}

// withDefaults does what the API server does before admission: a limit without a request is one.
func withDefaults(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			r := &list[i].Resources
			for name, q := range r.Limits {
				if _, ok := r.Requests[name]; !ok {
					if r.Requests == nil {
						r.Requests = corev1.ResourceList{}
					}
					r.Requests[name] = q
				}
			}
		}
	}
	return pod
}

func sameFootprint(before, after *corev1.Pod) []string {
	var problems []string
	b, a := withDefaults(before), withDefaults(after)
	if qos(b) != qos(a) {
		problems = append(problems, fmt.Sprintf("QoS class was %s and is %s", qos(b), qos(a)))
	}
	for what, f := range map[string]func(*corev1.Pod, helper.PodResourcesOptions) corev1.ResourceList{
		"requests": helper.PodRequests, "limits": helper.PodLimits,
	} {
		was, is := f(b, helper.PodResourcesOptions{}), f(a, helper.PodResourcesOptions{})
		// The kubelet bounds a pod's processor time and memory only if every container has a limit; its local storage
		// by those that there are.
		if what == "limits" && qos(b) != corev1.PodQOSGuaranteed {
			was, is = only(was, corev1.ResourceEphemeralStorage), only(is, corev1.ResourceEphemeralStorage)
		}
		if !maps.EqualFunc(nonZero(was), nonZero(is), func(x, y resource.Quantity) bool { return x.Cmp(y) == 0 }) {
			problems = append(problems, fmt.Sprintf("effective %s were %v and are %v", what, was, is))
		}
	}
	return problems
}

func only(l corev1.ResourceList, name corev1.ResourceName) corev1.ResourceList {
	if q, ok := l[name]; ok {
		return corev1.ResourceList{name: q}
	}
	return nil
}

func nonZero(l corev1.ResourceList) corev1.ResourceList {
	maps.DeleteFunc(l, func(_ corev1.ResourceName, q resource.Quantity) bool { return q.IsZero() })
	return l
}

// qos states the API's rules for QoS classes anew.
func qos(pod *corev1.Pod) corev1.PodQOSClass {
	some, guaranteed := false, true
	check := func(r *corev1.ResourceRequirements) {
		for _, name := range []corev1.ResourceName{"cpu", "memory"} {
			request, limit := r.Requests[name], r.Limits[name]
			some = some || !request.IsZero() || !limit.IsZero()
			guaranteed = guaranteed && !limit.IsZero() && request.Cmp(limit) == 0
		}
	}
	if pod.Spec.Resources != nil {
		check(pod.Spec.Resources)
	} else {
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			check(&c.Resources)
		}
	}
	switch {
	case !some:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// noDuplicates checks that nothing is there twice that was not before.
func noDuplicates(before, after *corev1.Pod) []string {
	var problems []string
	twice := func(names []string) (out []string) {
		seen := map[string]int{}
		for _, n := range names {
			if seen[n]++; seen[n] == 2 {
				out = append(out, n)
			}
		}
		return out
	}
	names := func(pod *corev1.Pod) map[string][]string {
		out := map[string][]string{}
		for _, v := range pod.Spec.Volumes {
			out["volumes"] = append(out["volumes"], v.Name)
		}
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			out["containers"] = append(out["containers"], c.Name)
			for _, e := range c.Env {
				out["env of "+c.Name] = append(out["env of "+c.Name], e.Name)
			}
			for _, m := range c.VolumeMounts {
				out["mounts of "+c.Name] = append(out["mounts of "+c.Name], m.MountPath)
			}
		}
		return out
	}
	was := names(before)
	for what, list := range names(after) {
		for _, n := range twice(list) {
			if !slices.Contains(twice(was[what]), n) {
				problems = append(problems, fmt.Sprintf("%s: %s is there twice", what, n))
			}
		}
	}
	return problems
}

var evaluator = must(policy.NewEvaluator(policy.DefaultChecks(), nil))

func must(e policy.Evaluator, err error) policy.Evaluator {
	if err != nil {
		panic(err)
	}
	return e
}

// samePodSecurity checks that a pod which meets a Pod Security level still does.
func samePodSecurity(before, after *corev1.Pod) []string {
	var problems []string
	for _, level := range []psaapi.Level{psaapi.LevelBaseline, psaapi.LevelRestricted} {
		lv := psaapi.LevelVersion{Level: level, Version: psaapi.LatestVersion()}
		was := policy.AggregateCheckResults(evaluator.EvaluatePod(lv, &before.ObjectMeta, &before.Spec))
		is := policy.AggregateCheckResults(evaluator.EvaluatePod(lv, &after.ObjectMeta, &after.Spec))
		if was.Allowed && !is.Allowed {
			problems = append(problems, fmt.Sprintf("no longer meets %s: %s", level, is.ForbiddenDetail()))
		}
	}
	return problems
}

// policies are what pods are injected under in properties.
func policies(t testing.TB) []inject.Request {
	var out []inject.Request
	for _, text := range []string{
		"", "vllmFlag: always", "wrapper: {delivery: image-volume}", "wrapper: {unknownEngines: true}\ntraceID: sha256",
		"knownImages: [{image: '*', entrypoint: [python3, -m, vllm_server], cmd: [--port, '1']}]\nregion: eu-1",
		"features: {env: false}", "vllmFlag: 'off'\nstartupTraces: drop\nwrapper: {timeout: 30m, flushTimeout: 2s, startupz: ':8099', statusFile: /tmp/s}",
	} {
		p := mergedPolicy(t, text)
		for _, volumes := range []bool{false, true} {
			out = append(out, inject.Request{Policy: p, ImageVolumes: volumes, Namespace: "team-a", Version: "test"})
		}
	}
	return out
}

func TestNoPodIsChangedBeyondWhatIsAdded(t *testing.T) {
	requests := policies(t)
	for _, path := range fixtures(t) {
		raw := readFixture(t, path).raw
		for i, req := range requests {
			problems, ok := checkProperties(raw, req)
			if !ok {
				t.Errorf("%s does not decode", path)
			}
			for _, p := range problems {
				t.Errorf("%s under policy %d: %s", path, i, p)
			}
		}
	}
}

func FuzzPod(f *testing.F) {
	for _, path := range fixtures(f) {
		f.Add(readFixture(f, path).raw)
	}
	requests := policies(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		i := crc32.ChecksumIEEE(raw) % uint32(len(requests)) // one policy per pod: fourteen times the pods
		problems, _ := checkProperties(raw, requests[i])
		for _, p := range problems {
			t.Errorf("policy %d: %s", i, p)
		}
	})
}
