// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	helper "k8s.io/component-helpers/resource"

	"github.com/coldtrace/coldtrace/inject"
)

// TestAPodThatLimitsLetThroughIsLetThroughInjected asks the API server itself, with its LimitRanger and its quota: of random
// pods under random ranges and quotas, every one that is accepted without coldtrace is accepted with it, and asks for as much.
func TestAPodThatLimitsLetThroughIsLetThroughInjected(t *testing.T) {
	const namespaces, pods = 24, 14
	install(t, 1, nil, patient, "webhook.failurePolicy=Fail", "policy.wrapper.delivery=init-container")
	gen := limits{rand.New(rand.NewPCG(14, 4))}
	counts := map[string]int{}
	for i := range namespaces {
		spec, quota := gen.limitRange(), i%2 == 1
		plain, traced := "off-"+randomName(), labelled(t)
		makeNamespace(t, plain, nil)
		for _, ns := range []string{plain, traced} {
			limitNamespace(t, ns, spec, quota)
		}
		for j := range pods {
			pod := gen.pod(fmt.Sprintf("p-%d-%d", i, j))
			dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
			before, refused := create(t.Context(), plain, pod.DeepCopy(), dry)
			after, err := create(t.Context(), traced, pod.DeepCopy(), dry)
			switch {
			case refused != nil:
				counts["refused without"]++
				continue
			case err != nil:
				t.Errorf("refused with coldtrace alone: %v\nrange %+v quota %t\npod %+v\nresources %s", err, spec.Limits, quota, before.Spec.Resources, ask(before))
				continue
			}
			d, _ := decision(t, after)
			if !slices.Contains(d.Features, inject.FeatureWrapper) {
				counts["without the wrapper"]++
			} else {
				counts["wrapped"]++
			}
			for what, f := range map[string]func(*corev1.Pod, helper.PodResourcesOptions) corev1.ResourceList{"requests": helper.PodRequests, "limits": helper.PodLimits} {
				was, is := f(before, helper.PodResourcesOptions{}), f(after, helper.PodResourcesOptions{})
				if !maps.EqualFunc(was, is, func(a, b resource.Quantity) bool { return a.Cmp(b) == 0 }) {
					t.Errorf("effective %s were %v and are %v\nwithout %s\nwith %s", what, was, is, ask(before), ask(after))
				}
			}
			if before.Status.QOSClass != after.Status.QOSClass {
				t.Errorf("QoS class was %s and is %s\nwithout %s\nwith %s", before.Status.QOSClass, after.Status.QOSClass, ask(before), ask(after))
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Log(counts)
	if counts["wrapped"] < 50 || counts["refused without"] < 50 || counts["without the wrapper"] > counts["wrapped"]/4 {
		t.Error("the generator misses what it is for")
	}
}

// ask is what containers ask for, for a message.
func ask(pod *corev1.Pod) string {
	var b strings.Builder
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		fmt.Fprintf(&b, "%s (sidecar %t): requests %v limits %v; ", c.Name, c.RestartPolicy != nil, c.Resources.Requests, c.Resources.Limits)
	}
	return b.String()
}

// limitNamespace puts a range on a namespace, and a quota that has every container say what it asks for.
func limitNamespace(t *testing.T, ns string, spec corev1.LimitRangeSpec, quota bool) {
	t.Helper()
	core := suite.client.CoreV1()
	_, err := core.LimitRanges(ns).Create(t.Context(), &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: spec}, metav1.CreateOptions{})
	must(t, err)
	if !quota {
		return
	}
	hard, used := corev1.ResourceList{}, corev1.ResourceList{}
	for name, n := range map[corev1.ResourceName]string{
		"requests.cpu": "1k", "limits.cpu": "1k", "requests.memory": "1Pi", "limits.memory": "1Pi", "configmaps": "0",
	} {
		hard[name], used[name] = resource.MustParse(n), resource.MustParse("0")
	}
	q, err := core.ResourceQuotas(ns).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
	}, metav1.CreateOptions{})
	must(t, err)
	q.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: used} // what a controller would write
	_, err = core.ResourceQuotas(ns).UpdateStatus(t.Context(), q, metav1.UpdateOptions{})
	must(t, err)
	eventually(t, 30*time.Second, "the quota in force", func(ctx context.Context) error {
		_, err := core.ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errors.New("a ConfigMap beyond it was accepted")
		}
		return nil
	})
}

// limits makes ranges and pods whose figures meet, so that one is often just at the other's edge.
type limits struct{ rand *rand.Rand }

var ladders = map[corev1.ResourceName][]string{
	"cpu": {"50m", "100m", "250m", "1", "2", "8"}, "memory": {"32Mi", "64Mi", "128Mi", "1Gi", "2Gi", "64Gi"},
	"ephemeral-storage": {"128Mi", "256Mi", "512Mi", "1Gi", "2Gi", "20Gi"},
}

var ladderNames = slices.Sorted(maps.Keys(ladders))

func (l limits) chance(percent int) bool { return l.rand.IntN(100) < percent }

// steps are n steps of a ladder, not descending.
func (l limits) steps(name corev1.ResourceName, n int) []resource.Quantity {
	at := make([]int, n)
	for i := range at {
		at[i] = l.rand.IntN(len(ladders[name]))
	}
	slices.Sort(at)
	out := make([]resource.Quantity, n)
	for i := range out {
		out[i] = resource.MustParse(ladders[name][at[i]])
	}
	return out
}

// limitRange is one that the API server takes: minimum, default request, default, maximum and ratio, each or not.
func (l limits) limitRange() corev1.LimitRangeSpec {
	item := func(kind corev1.LimitType) corev1.LimitRangeItem {
		out := corev1.LimitRangeItem{
			Type: kind, Min: corev1.ResourceList{}, Max: corev1.ResourceList{}, Default: corev1.ResourceList{}, DefaultRequest: corev1.ResourceList{},
			MaxLimitRequestRatio: corev1.ResourceList{},
		}
		for _, name := range ladderNames {
			s := l.steps(name, 4)
			if l.chance(35) {
				out.Min[name] = s[0]
			}
			if kind == corev1.LimitTypeContainer && l.chance(40) {
				out.DefaultRequest[name], out.Default[name] = s[1], s[2]
			}
			if l.chance(25) {
				out.Max[name] = s[3]
			}
			if len(out.Min) == 0 && l.chance(20) {
				out.MaxLimitRequestRatio[name] = resource.MustParse([]string{"1", "2", "4", "10"}[l.rand.IntN(4)])
			}
		}
		// A ratio beside a default that breaks it lets no pod through.
		for name, ratio := range out.MaxLimitRequestRatio {
			if d, ok := out.Default[name]; ok {
				out.DefaultRequest[name] = d
			}
			if _, ok := out.Max[name]; ok && ratio.Value() > 1 {
				delete(out.Max, name)
			}
		}
		return out
	}
	spec := corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{item(corev1.LimitTypeContainer)}}
	if l.chance(40) {
		spec.Limits = append(spec.Limits, item(corev1.LimitTypePod))
	}
	return spec
}

func (l limits) resources(whole bool) corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for _, name := range ladderNames {
		s := l.steps(name, 2)
		switch n := l.rand.IntN(10); {
		case n < 4 || whole && n < 7:
			r.Requests[name], r.Limits[name] = s[0], s[1]
		case n < 6 || whole:
			r.Requests[name], r.Limits[name] = s[1], s[1]
		case n < 7:
			r.Requests[name] = s[0]
		case n < 8:
			r.Limits[name] = s[1]
		}
	}
	return r
}

func (l limits) pod(name string) *corev1.Pod {
	whole := l.chance(60) // every container says everything
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"managed-by": "model-engine"}}}
	container := func(name string) corev1.Container {
		return corev1.Container{Name: name, Image: "example.test/x:1", Command: []string{"x"}, Resources: l.resources(whole)}
	}
	always := corev1.ContainerRestartPolicyAlways
	for i := range l.rand.IntN(3) {
		c := container(fmt.Sprintf("init-%d", i))
		if l.chance(60) {
			c.RestartPolicy = &always
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
	}
	for i := range l.rand.IntN(2) {
		pod.Spec.Containers = append(pod.Spec.Containers, container(fmt.Sprintf("c-%d", i)))
	}
	server := container("main")
	server.Command = []string{"vllm", "serve", "m"}
	server.Resources.Limits["nvidia.com/gpu"] = resource.MustParse("1")
	if l.chance(25) { // as a native sidecar
		server.RestartPolicy = &always
		at := l.rand.IntN(len(pod.Spec.InitContainers) + 1)
		pod.Spec.InitContainers = slices.Insert(pod.Spec.InitContainers, at, server)
		server = container("client")
	}
	pod.Spec.Containers = append(pod.Spec.Containers, server)
	if l.chance(15) {
		r := corev1.ResourceList{"cpu": resource.MustParse("40"), "memory": resource.MustParse("400Gi")}
		pod.Spec.Resources = &corev1.ResourceRequirements{Requests: r, Limits: r}
	}
	return pod
}
