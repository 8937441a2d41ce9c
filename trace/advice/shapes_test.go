// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

// Starts as clusters have them, of which a rule that looks at single phases alone would say something wrong, or nothing.
func TestAdviceOnStartsThatAreNotPlain(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		others []string
		want   []string // rules, and what they save in whole seconds
	}{
		"two containers pull at once: both have to be there, the longer counts": {
			around(vllm, "  image_pull 0-40 cached=false k8s.container.name=main\n  image_pull 0-90 cached=false k8s.container.name=forwarder\n"+
				"  container_creating 40-41 k8s.container.name=main\n  pod_ready 41-300\n  startup 41-299"), nil,
			[]string{"image-pull 40"}, // main's server, not the other pull, is what the pod waits for after that
		},
		"the kubelet was at another pod's image": {
			around(vllm, "  image_pull 0-60 cached=false k8s.container.name=main\n"+
				"    image_pull_queued 0-30 k8s.container.name=main\n  pod_ready 60-300\n  startup 60-299"), nil,
			[]string{"image-pull 60", "image-pull-queued 30"},
		},
		"a slow pull that waited in a queue: at others' speed it would have waited, too": {
			around(vllm, "  image_pull 0-100 cached=false throughput_mbps=100.0 k8s.container.name=main\n    image_pull_queued 0-60 k8s.container.name=main\n  pod_ready 100-300"),
			pulls(400, "gpu-2", "gpu-3", "gpu-4"),
			[]string{"image-pull 100", "image-pull-queued 60", "registry-throughput 30"},
		},
		"the second attempt found what the first had compiled and downloaded": {
			around(vllm, "  pod_ready 10-150 attempt=1 !exit_code=1\n  startup 10-150 attempt=1 !cuda_out_of_memory\n    vllm_init 10-150 !cuda_out_of_memory\n"+
				"      hf_download 20-60\n      torch_compile 60-110 compile_cache=miss\n      kernel_warmup 110-140\n"+
				"  restart_backoff 150-160 attempt=2\n  pod_ready 160-300 attempt=2\n  startup 160-299 attempt=2\n    vllm_init 160-298\n      torch_compile 200-204 compile_cache=hit"), nil,
			[]string{"crash-loop 150"},
		},
		"an init container that failed twice": {
			around(vllm, "  init_container 5-20 !exit_code=1 k8s.container.name=fetch\n  restart_backoff 20-30 k8s.container.name=fetch attempt=2\n"+
				"  init_container 30-45 !exit_code=1 k8s.container.name=fetch attempt=2\n  restart_backoff 45-65 k8s.container.name=fetch attempt=3\n"+
				"  init_container 65-80 k8s.container.name=fetch attempt=3\n  pod_ready 80-300\n  startup 80-299"), nil,
			[]string{"crash-loop 60"},
		},
		"an init container that ran again with all of the pod's is one, not two in a row": {
			around(vllm, "  init_container 0-40 k8s.container.name=fetch\n  pod_ready 40-80 attempt=1 !exit_code=42\n  restart_backoff 80-90 attempt=2\n"+
				"  init_container 90-130 k8s.container.name=fetch attempt=2\n  pod_ready 130-300 attempt=2\n  startup 130-299 attempt=2"), nil,
			[]string{"crash-loop 50"},
		},
		"the container's clock is behind the cluster's": {
			around(vllm, "  pod_ready 100-300\n  startup 92-291\n    vllm_init 92-290\n      torch_compile 150-200 compile_cache=miss"), nil,
			[]string{"compile-cache 50", "readiness-probe 9"},
		},
		"it is before the cluster's": {
			around(vllm, "  pod_ready 100-300\n  startup 108-307\n    vllm_init 108-306\n      torch_compile 150-200 compile_cache=miss"), nil,
			[]string{"compile-cache 50"},
		},
		"a batch job, which no probe asks": {
			vllm + "\npod_startup 0-101 outcome=completed\n  image_pull 0-60 cached=false k8s.container.name=main\n  pod_ready 60-101\n  startup 60-300\n    vllm_init 60-299\n      torch_compile 110-150 compile_cache=miss", nil,
			[]string{"image-pull 60", "compile-cache 40"},
		},
		"nobody says which engine it is, but its phases": {
			around("image_tag=v1", engine("      torch_compile 110-230 compile_cache=miss\n      cuda_graph_capture 230-280")), nil,
			[]string{"compile-cache 120", "graph-capture 50", "eager 170"},
		},
		"a model that nobody names is no other's peer": {
			around("engine=vllm", "  startup 100-300\n    s5cmd_download 100-180 throughput_mbps=100.0\n    vllm_init 180-300"),
			slices.Repeat([]string{around("engine=vllm", "  startup 100-300\n    s5cmd_download 100-120 throughput_mbps=400.0\n    vllm_init 120-300")}, 3),
			nil,
		},
		"a pod with a bare root, as a cluster without events leaves it": {
			vllm + "\npod_startup 0-300 outcome=ready", nil, nil,
		},
		"one that is still at it": {
			vllm + "\npod_startup 0-300 open\n  image_pull 0-60 cached=false k8s.container.name=main\n  pod_ready 60-300 open\n  startup 60-300 open\n    vllm_init 60-300 open\n      torch_compile 100-300 open", nil,
			[]string{"image-pull 60"},
		},
		"weights streamed while they load": {
			around(vllm, engine("      model_load 100-150\n        weights_load 101-150")), nil, nil,
		},
		"a download beside the engine's imports": {
			around(vllm, "  pod_ready 100-300\n  startup 100-299\n    s5cmd_download 100-160 bytes=16000000000\n    vllm_init 100-290\n      weights_load 170-200"), nil,
			[]string{"overlap-download 30"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracetest.Trace("u", c.text)
			starts := []*trace.Trace{tr}
			for i, text := range c.others {
				starts = append(starts, tracetest.Trace(fmt.Sprint("other", i), text))
			}
			var got []string
			for _, a := range For(tr, Of(starts)) {
				got = append(got, fmt.Sprintf("%s %.0f", a.Rule, a.Saves.Seconds()))
				if strings.Contains(a.Seen, "()") {
					t.Errorf("%s does not say why: %s", a.Rule, a.Seen)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("advice %v, want %v", got, c.want)
			}
		})
	}
}
