// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
)

func TestATypedPodIsConvertedAsItsJSONIsDecoded(t *testing.T) {
	fill := randfill.NewWithSeed(7).NilChance(0.3).NumElements(1, 3).MaxDepth(12).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			text := resource.NewMilliQuantity(1000*c.Int63n(1e6)+1, resource.DecimalSI).String() // of which there is one way to write it
			if err := q.UnmarshalJSON([]byte(strconv.Quote(text))); err != nil {
				t.Fatal(err)
			}
		},
		func(s *intstr.IntOrString, c randfill.Continue) {
			*s = intstr.FromInt32(8000)
			if c.Bool() {
				*s = intstr.FromString("http")
			}
		},
		func(m *metav1.Time, c randfill.Continue) { *m = metav1.Unix(c.Int63n(2e9), 0) },
		func(f *metav1.FieldsV1, _ randfill.Continue) { *f = metav1.FieldsV1{} },
		func(s *string, c randfill.Continue) {
			*s = []string{"", "a", "vllm serve x", `quo"ted`, "$(POD_IP)"}[c.Intn(5)]
		},
	)
	filled := 0
	for n := range 300 {
		var pod corev1.Pod
		fill.Fill(&pod.ObjectMeta)
		fill.Fill(&pod.Spec)
		raw, err := json.Marshal(&pod)
		if err != nil {
			t.Fatal(err)
		}
		want := new(Pod)
		if err := json.Unmarshal(raw, want); err != nil {
			t.Fatal(err)
		}
		if got := FromPod(&pod); !reflect.DeepEqual(got, want) {
			a, _ := json.MarshalIndent(got, "", " ")
			b, _ := json.MarshalIndent(want, "", " ")
			t.Fatalf("pod %d: converted\n%s\ndecoded\n%s", n, a, b)
		}
		filled += len(pod.Spec.Containers)
	}
	if filled < 100 {
		t.Errorf("only %d containers to compare", filled)
	}
}

func BenchmarkFromPod(b *testing.B) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "llama", CreationTimestamp: metav1.NewTime(time.Now())}}
	for range 2 {
		c := corev1.Container{Name: "main", Command: []string{"vllm", "serve", "m"}, ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(8000)}}}}
		for range 40 {
			c.Env = append(c.Env, corev1.EnvVar{Name: "NAME_" + string(rune('a'+rand.IntN(26))), Value: "a value of some length"})
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	b.ReportAllocs()
	for b.Loop() {
		FromPod(pod)
	}
}
