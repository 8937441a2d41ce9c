// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

func TestAPhaseSavesWhatWaitedForItAlone(t *testing.T) {
	const beside = `
		endpoint_name=e
		pod_startup 0-100 outcome=ready
		  pod_pending 0-5
		  image_pull 5-25 k8s.container.name=sidecar
		  image_pull 5-45 k8s.container.name=main
		  container_creating 45-46
		  pod_ready 46-100
		    @probe_failed 50 probe=readiness
		  startup 46-98
		    s5cmd_download 46-66
		    vllm_init 66-97
		      weights_load 66-76
		      torch_compile 77-97
		    server_ready 97-98
		    Load_model 66-99 service=vllm`
	for name, c := range map[string]struct {
		text   string
		phases []string // and how long they would be
		to     time.Duration
		want   time.Duration
	}{
		"nothing is shorter":                           {beside, nil, 0, 0},
		"a pull beside a longer pull":                  {beside, []string{"image_pull sidecar"}, 0, 0},
		"the longer pull, down to the shorter":         {beside, []string{"image_pull main"}, 0, 20 * time.Second},
		"the longer pull, a little":                    {beside, []string{"image_pull main"}, 35 * time.Second, 5 * time.Second},
		"both pulls":                                   {beside, []string{"image_pull main", "image_pull sidecar"}, 0, 40 * time.Second},
		"what all wait for":                            {beside, []string{"pod_pending"}, 0, 5 * time.Second},
		"a phase in the container":                     {beside, []string{"s5cmd_download"}, 0, 20 * time.Second},
		"a phase in the engine, told twice":            {beside, []string{"weights_load"}, 0, 10 * time.Second},
		"two of one after the other":                   {beside, []string{"weights_load", "torch_compile"}, 0, 30 * time.Second},
		"a parent is shortened with all that is in it": {beside, []string{"vllm_init"}, 11 * time.Second, 20 * time.Second},
		"no phase gets longer":                         {beside, []string{"pod_pending"}, time.Hour, 0},
		"an inner part of a pull": {`
		endpoint_name=e
		pod_startup 0-100 outcome=ready
		  image_pull 0-90
		    image_pull_queued 0-60
		  pod_ready 91-100`, []string{"image_pull_queued"}, 0, time.Minute},
		"edges that are known to the second only": {`
		endpoint_name=e
		pod_startup 0-100 outcome=ready
		  pod_pending 0-30 time.precision_seconds=1.0
		  image_pull 29.2-60
		  pod_ready 60-100`, []string{"pod_pending"}, 0, 30 * time.Second},
		"a start whose root is still to come": {`
		endpoint_name=e
		image_pull 0-60
		image_pull_queued 60-70`, []string{"image_pull"}, 0, time.Minute},
		"a server that nobody probes": {`
		endpoint_name=e
		pod_startup 0-6 outcome=started
		  pod_pending 0-5
		  pod_ready 5-6
		  startup 6-50
		    vllm_init 6-50`, []string{"vllm_init"}, 4 * time.Second, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracetest.Trace("u", c.text)
			lengths := Lengths{}
			tr.Walk(func(n *trace.Node) {
				for _, phase := range c.phases {
					if n.Phase() == phase {
						lengths[n] = c.to
					}
				}
			})
			if len(lengths) != len(c.phases) {
				t.Fatalf("%d spans are shortened, want %d", len(lengths), len(c.phases))
			}
			if got := newReplay(tr).saved(lengths); (got - c.want).Abs() > time.Millisecond {
				t.Errorf("saves %v, want %v", got, c.want)
			}
		})
	}
}

// A leader's own image is no matter while a worker pulls its own for longer.
func TestWhatComesBeforeWaitingForAnotherPodSavesNothing(t *testing.T) {
	const group = "endpoint_name=e image_tag=v1 engine=vllm engine_version=0.10.0 num_gpus=8 group.key=lws/e/0 group.size=2 "
	starts := func(workerPulls int) []*trace.Trace {
		leader := tracetest.Spans("leader", 0, group+`group.role=leader group.part=leader group.generation=leader group.index=0
pod_startup 0-300 outcome=ready
  image_pull 5-65 cached=false k8s.container.name=main
  pod_ready 66-300
  startup 66-299
    vllm_init 66-298
      distributed_init 70-210
      model_load 210-298`)
		worker := tracetest.Spans("worker", 0, fmt.Sprintf(group+`group.role=worker group.part=worker group.generation=workers group.index=1
pod_startup 0-%d outcome=started
  image_pull 5-%d cached=false k8s.container.name=main
  pod_ready %d-%d`, workerPulls+2, workerPulls, workerPulls+1, workerPulls+2))
		return trace.Build(append(leader, worker...))
	}
	for name, c := range map[string]struct {
		worker int // pulled until
		want   []string
	}{
		"the worker came later":    {190, nil},
		"the worker came at once":  {20, []string{"p2p-check", "image-pull"}},
		"the worker came as early": {60, []string{"p2p-check", "image-pull"}},
	} {
		t.Run(name, func(t *testing.T) {
			drawn := trace.Collapse(starts(c.worker))
			if len(drawn) != 1 {
				t.Fatalf("%d drawings, want the group's alone", len(drawn))
			}
			var rules []string
			for _, a := range For(drawn[0], nil) {
				rules = append(rules, a.Rule)
			}
			if !slices.Equal(rules, c.want) {
				t.Errorf("advice %v, want %v", rules, c.want)
			}
		})
	}
}

func TestNoShorterPhaseMakesAStartLonger(t *testing.T) {
	tr := tracetest.Trace("u", `
		endpoint_name=e
		pod_startup 0-100 outcome=ready
		  pod_pending 0-5
		  image_pull 4.9-45 k8s.container.name=main
		  container_creating 44-46
		  pod_ready 46-100
		  startup 46.2-100.2
		    weights_load 40-76
		    torch_compile 70-97`)
	tr.Walk(func(n *trace.Node) {
		for _, part := range []float64{0, 0.3, 0.9, 1} {
			to := time.Duration(part * float64(n.Duration()))
			if saved := newReplay(tr).saved(Lengths{n: to}); saved < 0 || saved > n.Duration()-to+time.Second {
				t.Errorf("%s from %v to %v saves %v", n.Phase(), n.Duration(), to, saved)
			}
		}
	})
}
