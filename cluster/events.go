// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/pager"

	"github.com/coldtrace/coldtrace/startup/pod"
)

// events are those of some pods.
type events struct {
	byPod   map[types.UID][]*corev1.Event
	missing map[string]Missing // by namespace
}

// events reads the events of pods: of a few by name, of many by namespace.
func (r *Reader) events(ctx context.Context, pods []corev1.Pod) *events {
	out := &events{byPod: map[types.UID][]*corev1.Event{}, missing: map[string]Missing{}}
	asked := map[string][]*corev1.Pod{}
	for i := range pods {
		asked[pods[i].Namespace] = append(asked[pods[i].Namespace], &pods[i])
	}
	for namespace, of := range asked {
		fields := []string{pod.EventFields}
		if len(of) <= fewPods {
			fields = nil
			for _, p := range of {
				fields = append(fields, pod.EventFields+",involvedObject.uid="+string(p.UID))
			}
		}
		for _, f := range fields {
			if err := r.page(ctx, namespace, f, out); err != nil {
				out.missing[namespace] = unread("events", err)
				break
			}
		}
	}
	return out
}

func (r *Reader) page(ctx context.Context, namespace, fields string, out *events) error {
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return r.Client.CoreV1().Events(namespace).List(ctx, o)
	})
	pages.PageBufferSize = 0 // see eachPod
	//nolint:wrapcheck // told by what it is, see unread
	return pages.EachListItem(ctx, metav1.ListOptions{FieldSelector: fields}, func(o runtime.Object) error {
		e := o.(*corev1.Event)
		out.byPod[e.InvolvedObject.UID] = append(out.byPod[e.InvolvedObject.UID], e)
		return nil
	})
}
