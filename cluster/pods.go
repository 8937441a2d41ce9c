// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
)

// Choice is which pods are meant, as kubectl takes it.
type Choice struct {
	Names     []string // NAME, KIND/NAME or KIND NAME…; none: all pods
	Selector  string   // labels
	Namespace string
	All       bool          // namespaces
	Since     time.Duration // only pods that were created since then; 0: all
}

// Pods are the pods that are meant, the oldest first.
func Pods(ctx context.Context, getter genericclioptions.RESTClientGetter, client kubernetes.Interface, c Choice, now time.Time) ([]corev1.Pod, error) {
	var (
		pods []corev1.Pod
		err  error
	)
	if len(c.Names) == 0 {
		namespace := c.Namespace
		if c.All {
			namespace = metav1.NamespaceAll
		}
		pods, err = list(ctx, client, namespace, c.Selector)
	} else {
		pods, err = named(ctx, getter, client, c)
	}
	if err != nil {
		return nil, err
	}
	if c.Since > 0 {
		pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return now.Sub(p.CreationTimestamp.Time) > c.Since })
	}
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return pods, nil
}

func list(ctx context.Context, client kubernetes.Interface, namespace, selector string) (pods []corev1.Pod, err error) {
	err = eachPod(ctx, client, namespace, selector, func(p *corev1.Pod) { pods = append(pods, *p) })
	return pods, err
}

// eachPod asks for pods by the page. While one is looked at, the next is asked for, and no more.
func eachPod(ctx context.Context, client kubernetes.Interface, namespace, selector string, take func(*corev1.Pod)) error {
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().Pods(namespace).List(ctx, o)
	})
	pages.PageBufferSize = 0
	err := pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: selector}, func(o runtime.Object) error {
		take(o.(*corev1.Pod))
		return nil
	})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	return nil
}

// Objects are the objects that are named, as kubectl takes names; one without a kind is a pod's.
func Objects(getter genericclioptions.RESTClientGetter, namespace string, names []string) ([]*unstructured.Unstructured, error) {
	names = slices.Clone(names)
	if !IsKind(names[0]) {
		for i, name := range names {
			if !strings.Contains(name, "/") {
				names[i] = "pod/" + name
			}
		}
	}
	infos, err := resource.NewBuilder(getter).Unstructured().NamespaceParam(namespace).DefaultNamespace().
		ResourceTypeOrNameArgs(true, names...).ContinueOnError().Flatten().Do().Infos()
	if err != nil {
		return nil, err //nolint:wrapcheck // says it as kubectl does
	}
	objects := make([]*unstructured.Unstructured, len(infos))
	for i, info := range infos {
		objects[i] = info.Object.(*unstructured.Unstructured)
	}
	return objects, nil
}

// named are the pods of the objects that are named, each once.
func named(ctx context.Context, getter genericclioptions.RESTClientGetter, client kubernetes.Interface, c Choice) ([]corev1.Pod, error) {
	if c.All || c.Selector != "" {
		return nil, fmt.Errorf("%s is a name, and -l and -A choose among all pods: give one of them", c.Names[0])
	}
	objects, err := Objects(getter, c.Namespace, c.Names)
	if err != nil {
		return nil, err
	}
	var (
		out  []corev1.Pod
		seen = map[string]bool{}
	)
	for _, object := range objects {
		pods, err := podsOf(ctx, client, object)
		if err != nil {
			return nil, err
		}
		for i := range pods {
			if id := string(pods[i].UID); !seen[id] {
				seen[id] = true
				out = append(out, pods[i])
			}
		}
	}
	return out, nil
}

func podsOf(ctx context.Context, client kubernetes.Interface, o *unstructured.Unstructured) ([]corev1.Pod, error) {
	if o.GetKind() == "Pod" {
		var p corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &p); err != nil {
			return nil, fmt.Errorf("read pod %s: %w", o.GetName(), err)
		}
		return []corev1.Pod{p}, nil
	}
	selector, err := selectorOf(o)
	if err != nil {
		return nil, err
	}
	return list(ctx, client, o.GetNamespace(), selector)
}

// mostSiblings suffice to say what is usual. Up to as many are asked for their events by name.
const mostSiblings = fewPods

// Siblings are the newest pods of a pod's owner, beside the pod itself, that are ready: at most mostSiblings, and of the namespace's
// pods two pages of 500 are held while they are looked for.
func Siblings(ctx context.Context, client kubernetes.Interface, p *corev1.Pod) (siblings []corev1.Pod, err error) {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return nil, nil
	}
	err = eachPod(ctx, client, p.Namespace, "", func(other *corev1.Pod) {
		if of := metav1.GetControllerOf(other); of == nil || of.UID != owner.UID || other.UID == p.UID || !isReady(other) {
			return
		}
		siblings = append(siblings, *other)
		slices.SortStableFunc(siblings, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
		siblings = siblings[:min(len(siblings), mostSiblings)]
	})
	if err != nil {
		return nil, fmt.Errorf("look for other pods of %s: %w", owner.Name, err)
	}
	return siblings, nil
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
