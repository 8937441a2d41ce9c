// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

// around is the start of a pod with these lines in it, indented as they are.
func around(about, lines string) string {
	return about + "\npod_startup 0-300 outcome=ready\n" + lines
}

const vllm = "num_gpus=1 node_name=gpu-1 image_tag=v1 model_name=m engine=vllm engine_version=0.26.0"

// older is vLLM of several GPUs, as it was when it checked whether they reach one another.
const older = "num_gpus=8 engine=vllm engine_version=0.10.0"

// engine is the inside of one whose engine takes from 100 to 290.
func engine(lines string) string {
	return "  pod_ready 100-300\n  startup 100-299\n    vllm_init 100-290\n" + lines
}

var cases = map[string][]struct {
	name   string
	text   string
	fires  bool
	saves  float64 // seconds
	says   string
	others []string // starts to compare with
}{
	"node-provisioning": {
		{"a node was made", around(vllm, "  pod_pending 0-150\n    node_provisioning 10-140\n  pod_ready 150-300"), true, 130, "node_provisioning took 2m 10s", nil},
		{"there was one", around(vllm, "  pod_pending 0-150\n  pod_ready 150-300"), false, 0, "", nil},
	},
	"no-room": {
		{"no node had a GPU", around(vllm, "  pod_pending 0-150\n    @failed_scheduling 1 reasons=insufficient_gpu,taints\n  pod_ready 150-300"), true, 150, "pod_pending took 2m 30s; insufficient_gpu, taints", nil},
		{"a node was being made", around(vllm, "  pod_pending 0-150\n    @failed_scheduling 1 reasons=insufficient_gpu\n    node_provisioning 1-150\n  pod_ready 150-300"), false, 0, "", nil},
		{"its volume was in another zone", around(vllm, "  pod_pending 0-150\n    @failed_scheduling 1 reasons=volume_zone\n  pod_ready 150-300"), false, 0, "", nil},
		{"it was gated before", around(vllm, "  pod_pending 0-150\n    @failed_scheduling 121 reasons=insufficient_gpu\n    scheduling_gated 0-120\n  pod_ready 150-300"), true, 30, "pod_pending took 2m 30s; insufficient_gpu", nil},
		{"it was slow for another reason", around(vllm, "  pod_pending 0-150\n  pod_ready 150-300"), false, 0, "", nil},
	},
	"scheduling-gate": {
		{"it was gated", around(vllm, "  pod_pending 0-150\n    scheduling_gated 0-120\n  pod_ready 150-300"), true, 120, "scheduling_gated took 2m 00s", nil},
		{"not for long", around(vllm, "  pod_pending 0-150\n    scheduling_gated 0-1\n  pod_ready 150-300"), false, 0, "", nil},
	},
	"image-pull": {
		{"it was pulled", around(vllm, "  image_pull 0-60 cached=false image_size_bytes=12000000000 k8s.container.name=main\n  pod_ready 60-300"), true, 60, "image_pull main took 1m 00s (12.0 GB); on other nodes it was there (starts: 1)", []string{
			around(strings.Replace(vllm, "gpu-1", "gpu-2", 1), "  image_pull 0-1 cached=true k8s.container.name=main\n  pod_ready 1-300"),
		}},
		{"on another node another endpoint's image with that tag was there", around("endpoint_name=a "+vllm, "  image_pull 0-60 cached=false k8s.container.name=main\n  pod_ready 60-300"), true, 60, "image_pull main took 1m 00s$", []string{
			around("endpoint_name=b "+strings.Replace(vllm, "gpu-1", "gpu-2", 1), "  image_pull 0-1 cached=true k8s.container.name=main\n  pod_ready 1-300"),
		}},
		{"on another node another image of the endpoint, without a tag, was there", around("node_name=gpu-1", "  image_pull 0-60 cached=false k8s.container.name=main\n  pod_ready 60-300"), true, 60, "image_pull main took 1m 00s$", []string{
			around("node_name=gpu-2", "  image_pull 0-1 cached=true k8s.container.name=main\n  pod_ready 1-300"),
		}},
		{"it was there", around(vllm, "  image_pull 0-60 cached=true\n  pod_ready 60-300"), false, 0, "", nil},
		{"the registry is always asked, and it was there", around(vllm, "  image_pull 0-9 cached=false image_size_bytes=12000000000 throughput_mbps=13333.3\n  pod_ready 9-300"), false, 0, "", nil},
		{"another took longer", around(vllm, "  image_pull 0-60 cached=false\n  init_container 0-61 k8s.container.name=fetch\n  pod_ready 61-300"), false, 0, "", nil},
	},
	"image-pull-queued": {
		{"it had to wait", around(vllm, "  image_pull 0-60 cached=true\n    image_pull_queued 0-50\n  pod_ready 60-300"), true, 50, "image_pull_queued took 50.0 s", nil},
		{"for a moment", around(vllm, "  image_pull 0-60 cached=true\n    image_pull_queued 0-1\n  pod_ready 60-300"), false, 0, "", nil},
	},
	"registry-throughput": {
		{"others are quicker", around(vllm, "  image_pull 0-100 throughput_mbps=100.0 k8s.container.name=main\n  pod_ready 100-300"), true, 75, "(100 MB/s); others reach 400 MB/s", pulls(400, "gpu-2", "gpu-3", "gpu-4")},
		{"the others had it, and always ask the registry", around(vllm, "  image_pull 0-100 throughput_mbps=100.0 k8s.container.name=main\n  pod_ready 100-300"), false, 0, "", pulls(13333, "gpu-2", "gpu-3", "gpu-4")},
		{"others are as slow", around(vllm, "  image_pull 0-100 throughput_mbps=100.0 k8s.container.name=main\n  pod_ready 100-300"), false, 0, "", pulls(110, "gpu-2", "gpu-3", "gpu-4")},
		{"the quicker ones are of the same node", around(vllm, "  image_pull 0-100 throughput_mbps=100.0 k8s.container.name=main\n  pod_ready 100-300"), false, 0, "", pulls(400, "gpu-1", "gpu-1", "gpu-1")},
		{"the quicker ones pull another endpoint's image with the same tag", around("endpoint_name=a "+vllm, "  image_pull 0-100 throughput_mbps=100.0 k8s.container.name=main\n  pod_ready 100-300"), false, 0, "", pulls(400, "gpu-2", "gpu-3", "gpu-4")},
		{"too few others", around(vllm, "  image_pull 0-100 throughput_mbps=100.0 k8s.container.name=main\n  pod_ready 100-300"), false, 0, "", pulls(400, "gpu-2", "gpu-3")},
	},
	"init-containers": {
		{"two in a row", around(vllm, "  init_container 0-40 k8s.container.name=a\n  init_container 40-60 k8s.container.name=b\n  pod_ready 60-300"), true, 20, "init_container a took 40.0 s, init_container b took 20.0 s", nil},
		{"one", around(vllm, "  init_container 0-40 k8s.container.name=a\n  pod_ready 60-300"), false, 0, "", nil},
		{"one and a sidecar", around(vllm, "  init_container 0-300 k8s.container.name=proxy\n  init_container 2-60 k8s.container.name=a\n  pod_ready 60-300"), false, 0, "", nil},
		{"one and coldtrace's own", around(vllm, "  init_container 0-20 k8s.container.name=coldtrace-install\n  init_container 20-60 k8s.container.name=a\n  pod_ready 60-300"), false, 0, "", nil},
	},
	"own-cost": {
		{"ours took a while", around(vllm, "  init_container 0-1.5 k8s.container.name=coldtrace-install\n  pod_ready 1.5-300"), true, 1.5, "init_container coldtrace-install took 1.50 s", nil},
		{"ours was quick", around(vllm, "  init_container 0-0.5 k8s.container.name=coldtrace-install\n  pod_ready 0.5-300"), false, 0, "", nil},
		{"it was the user's", around(vllm, "  init_container 0-9 k8s.container.name=install\n  pod_ready 9-300"), false, 0, "", nil},
	},
	"overlap-download": {
		{"one after the other", around(vllm, "  pod_ready 100-300\n  startup 100-299\n    s5cmd_download 100-160 bytes=16000000000 throughput_mbps=266.0\n    vllm_init 160-290\n      weights_load 180-200"), true, 20, "s5cmd_download took 1m 00s (16.0 GB, 266 MB/s), then weights_load took 20.0 s", nil},
		{"an engine that can't stream", around("num_gpus=1 engine=tgi", "  pod_ready 100-300\n  startup 100-299\n    s5cmd_download 100-160\n    tgi_init 160-290\n      weights_load 180-200"), false, 0, "", nil},
		{"the engine streams", around(vllm, engine("      weights_load 180-200")), false, 0, "", nil},
		{"a download that goes on beside", around(vllm, "  pod_ready 100-300\n  startup 100-299\n    s5cmd_download 100-190\n    vllm_init 100-290\n      weights_load 180-200"), false, 0, "", nil},
	},
	"download-throughput": {
		{"others are quicker", around(vllm, "  startup 100-300\n    s5cmd_download 100-180 throughput_mbps=100.0\n    vllm_init 180-300"), true, 60, "s5cmd_download took 1m 20s (100 MB/s); others reach 400 MB/s", downloads(400)},
		{"others are not", around(vllm, "  startup 100-300\n    s5cmd_download 100-180 throughput_mbps=300.0\n    vllm_init 180-300"), false, 0, "", downloads(400)},
	},
	"engine-download": {
		{"in its init", around(vllm, engine("      model_load 100-200\n        hf_download 100-180\n        weights_load 180-200")), true, 80, "hf_download took 1m 20s", nil},
		{"by a tool before it", around(vllm, "  pod_ready 100-300\n  startup 100-299\n    hf_download 100-180\n    vllm_init 180-290"), false, 0, "", nil},
	},
	"weights-throughput": {
		{"others are quicker", around(vllm, engine("      weights_load 100-180")), true, 60, "weights_load took 1m 20s", loads(20)},
		{"others are not", around(vllm, engine("      weights_load 100-180")), false, 0, "", loads(60)},
	},
	"compile-cache": {
		{"missed", around(vllm, engine("      torch_compile 200-250 compile_cache=miss\n        dynamo 200-210")), true, 40, "torch_compile took 50.0 s", nil},
		{"hit", around(vllm, engine("      torch_compile 200-250 compile_cache=hit")), false, 0, "", nil},
		{"switched off", around(vllm, engine("      torch_compile 200-250 compile_cache=off")), false, 0, "", nil},
	},
	"eager": {
		{"it dominates", around(vllm, engine("      torch_compile 110-230 compile_cache=miss\n      cuda_graph_capture 230-280")), true, 170, "of 3m 10s", nil},
		{"it does not", around(vllm, engine("      torch_compile 210-230 compile_cache=miss\n      cuda_graph_capture 230-280")), false, 0, "", nil},
		{"it did in an attempt that failed", around(vllm, "  pod_ready 0-200 attempt=1 !exit_code=1\n  startup 0-200 attempt=1 !cuda_out_of_memory\n    vllm_init 0-200 !cuda_out_of_memory\n      torch_compile 0-100 compile_cache=miss\n      cuda_graph_capture 100-190\n"+
			"  pod_ready 210-300 attempt=2\n  startup 210-299 attempt=2\n    vllm_init 210-298\n      torch_compile 220-230 compile_cache=miss\n      cuda_graph_capture 230-240"), false, 0, "", nil},
		{"another engine", around("num_gpus=1 engine=sglang", "  startup 100-300\n    sglang_init 100-290\n      torch_compile 110-230\n      cuda_graph_capture 230-280"), false, 0, "", nil},
	},
	"graph-capture": {
		{"it takes long", around(vllm, engine("      cuda_graph_capture 200-280")), true, 80, "cuda_graph_capture took 1m 20s", nil},
		{"it does not", around(vllm, engine("      cuda_graph_capture 200-208")), false, 0, "", nil},
	},
	"startup-plan": {
		{"vLLM 0.26", around(vllm, engine("      memory_profiling 200-240")), true, 40, "memory_profiling took 40.0 s", nil},
		{"the encoders are tried all the same", around(vllm, engine("      memory_profiling 200-240\n        encoder_profiling 200-230")), true, 10, "memory_profiling took 40.0 s", nil},
		{"vLLM 0.25 does not know it", around(strings.Replace(vllm, "0.26.0", "0.25.1", 1), engine("      memory_profiling 200-240")), false, 0, "", nil},
		{"SGLang", around("engine=sglang engine_version=0.30.0", "  startup 100-300\n    sglang_init 100-290\n      memory_profiling 200-240"), false, 0, "", nil},
	},
	"encoder-profiling": {
		{"an encoder is tried", around(vllm, engine("      memory_profiling 200-240\n        encoder_profiling 200-230")), true, 30, "encoder_profiling took 30.0 s", nil},
		{"there is none", around(vllm, engine("      memory_profiling 200-240")), false, 0, "", nil},
	},
	"kernel-warmup": {
		{"it takes long", around(vllm, engine("      kernel_warmup 200-240")), true, 40, "kernel_warmup took 40.0 s", nil},
		{"it does not", around(vllm, engine("      kernel_warmup 200-202")), false, 0, "", nil},
	},
	"p2p-check": {
		{"eight GPUs", around(older, engine("      distributed_init 110-170")), true, 60, "distributed_init took 1m 00s", nil},
		{"0.10.1 believes the driver", around(strings.Replace(older, "0.10.0", "0.10.1.1", 1), engine("      distributed_init 110-170")), false, 0, "", nil},
		{"nobody knows the version", around(strings.Replace(older, "engine_version=0.10.0", "", 1), engine("      distributed_init 110-170")), false, 0, "", nil},
		{"one GPU", around(strings.Replace(older, "num_gpus=8", "num_gpus=1", 1), engine("      distributed_init 110-170")), false, 0, "", nil},
		{"another engine", around("num_gpus=8 engine=sglang engine_version=0.5.0", "  startup 100-300\n    sglang_init 100-290\n      distributed_init 110-170"), false, 0, "", nil},
	},
	"worker-import": {
		{"eight workers", around(strings.Replace(vllm, "num_gpus=1", "num_gpus=8", 1), engine("      worker_launch 110-140")), true, 30, "worker_launch took 30.0 s", nil},
		{"one", around(vllm, engine("      worker_launch 110-140")), false, 0, "", nil},
	},
	"readiness-probe": {
		{"it was noticed late", around(vllm, "  pod_ready 100-300\n  startup 100-281"), true, 19, "readiness_wait took 19.0 s", nil},
		{"nobody probes it", vllm + "\npod_startup 0-101 outcome=started\n  pod_ready 100-101\n  startup 100-299", false, 0, "", nil},
		{"it was noticed at once", around(vllm, "  pod_ready 100-300\n  startup 100-299"), false, 0, "", nil},
	},
	"crash-loop": {
		{"the second succeeded", around(vllm, "  pod_ready 10-50 attempt=1 !exit_code=1\n  startup 10-50 attempt=1 !cuda_out_of_memory\n  restart_backoff 50-60 attempt=2\n  pod_ready 60-300 attempt=2\n  startup 60-299 attempt=2"), true, 50, "1 attempt failed (cuda_out_of_memory), with 10.0 s of back-off", nil},
		{"none failed", around(vllm, "  pod_ready 100-300\n  startup 100-299"), false, 0, "", nil},
	},
	"cut-short": {
		{"it was preempted", vllm + "\npod_startup 0-90 outcome=deleted !PreemptionByScheduler\n  pod_ready 10-90 !PreemptionByScheduler", true, 0, "PreemptionByScheduler after 1m 30s", nil},
		{"it failed by itself", vllm + "\npod_startup 0-90 outcome=failed !exit_code=1\n  startup 10-90 !cuda_out_of_memory", false, 0, "", nil},
	},
}

func pulls(rate float64, nodes ...string) (others []string) {
	for _, node := range nodes {
		others = append(others, around(strings.Replace(vllm, "gpu-1", node, 1), fmt.Sprintf("  image_pull 0-25 throughput_mbps=%.1f k8s.container.name=main\n  pod_ready 25-300", rate)))
	}
	return others
}

func downloads(rate float64) (others []string) {
	for range leastPeers {
		others = append(others, around(vllm, fmt.Sprintf("  startup 100-300\n    s5cmd_download 100-120 throughput_mbps=%.1f", rate)))
	}
	return others
}

func loads(seconds float64) (others []string) {
	for range leastPeers {
		others = append(others, around(vllm, engine(fmt.Sprintf("      weights_load 100-%.1f", 100+seconds))))
	}
	return others
}

func TestEachRuleFiresWhereItShouldAndNowhereElse(t *testing.T) {
	for _, id := range ruleIDs() {
		fires, fits := false, false
		for _, c := range cases[id] {
			fires, fits = fires || c.fires, fits || !c.fires
			t.Run(id+"/"+c.name, func(t *testing.T) {
				tr := tracetest.Trace("u", c.text)
				starts := []*trace.Trace{tr}
				for i, text := range c.others {
					starts = append(starts, tracetest.Trace(fmt.Sprint("other", i), text))
				}
				all := For(tr, Of(starts))
				at := slices.IndexFunc(all, func(a Advice) bool { return a.Rule == id })
				switch {
				case at < 0 && c.fires:
					t.Fatalf("it did not fire; advice is %v", all)
				case at >= 0 && !c.fires:
					t.Fatalf("it fired: %v", all[at])
				case at < 0:
					return
				}
				a := all[at]
				if (a.Saves - time.Duration(c.saves*float64(time.Second))).Abs() > 10*time.Millisecond {
					t.Errorf("saves %v, want %v s", a.Saves, c.saves)
				}
				if !strings.Contains(a.Seen+"$", c.says) { // $: and nothing after it
					t.Errorf("says %q, want %q", a.Seen, c.says)
				}
			})
		}
		if !fires || !fits {
			t.Errorf("%s: there is a start where it fires: %v, and one where it must not: %v", id, fires, fits)
		}
	}
	for id := range cases {
		if !slices.Contains(ruleIDs(), id) {
			t.Errorf("there is no rule %s", id)
		}
	}
}

func TestAStartThatFailedIsNotToldToBeQuicker(t *testing.T) {
	tr := tracetest.Trace("u", vllm+"\npod_startup 0-90 outcome=failed !exit_code=1\n  image_pull 0-60 cached=false\n  startup 60-90 !cuda_out_of_memory")
	if all := For(tr, nil); len(all) != 0 {
		t.Errorf("advice %v", all)
	}
}

// A claim has its source: each rule's section says what is seen, what to change and where that is known from.
func TestThePageHasASectionWithASourceForEachRule(t *testing.T) {
	page, err := os.ReadFile("../../docs/advice.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	var ids []string
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
		ids = append(ids, title)
	}
	source := regexp.MustCompile(`(?m)^Source: .*https://`)
	for _, id := range ruleIDs() {
		body, ok := sections[id]
		switch {
		case !ok:
			t.Errorf("docs/advice.md has no section %q", id)
		case !source.MatchString(body):
			t.Errorf("docs/advice.md#%s names no source", id)
		case !strings.Contains(body, "**When**") || !strings.Contains(body, "**Change**") || !strings.Contains(body, "**Saves**"):
			t.Errorf("docs/advice.md#%s lacks when, change or saving", id)
		}
	}
	for _, id := range ids {
		if !slices.Contains(ruleIDs(), id) && !strings.Contains(id, " ") {
			t.Errorf("docs/advice.md has a section on %q, which is no rule", id)
		}
	}
}

func TestTheThreeThatSaveMostStandUnderTheDrawing(t *testing.T) {
	all := For(tracetest.Trace("u", around(vllm, "  pod_pending 0-150\n    node_provisioning 10-140\n  image_pull 150-190 cached=false\n  pod_ready 190-300\n  startup 190-270\n    vllm_init 190-270\n      torch_compile 200-250 compile_cache=miss")), nil)
	got := Text(all, 3, trace.Options{Width: 80})
	want := `advice    up to -2m 10s: node_provisioning took 2m 10s`
	if !strings.HasPrefix(got, want) || strings.Count(got, "up to -") != 3 || !strings.Contains(got, "docs/advice.md#compile-cache") {
		t.Errorf("drew\n%s", got)
	}
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

func TestAPageSaysItUnderTheDrawing(t *testing.T) {
	start := tracetest.Trace("u", around(vllm, "  pod_pending 0-150\n    node_provisioning 10-140\n  image_pull 150-190 cached=false k8s.container.name=<main>\n  pod_ready 190-300"))
	page, err := trace.Page([]*trace.Trace{start}, start, func(t *trace.Trace) []trace.Advised { return Advised(t, nil, 3) })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<b>up to −2m 10s:</b> node_provisioning took 2m 10s. Keep a node warm", `<a href="` + Page + `#image-pull" rel="noreferrer">image-pull</a>`, "image_pull &lt;main&gt; took 40.0 s",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// The README shows this under the drawing of the same start.
func TestAdviceOnTheREADMEsStartIsAsItWas(t *testing.T) {
	in, err := os.Open("../testdata/ready.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	spans, _, err := trace.Read("ready.jsonl", in)
	if err != nil {
		t.Fatal(err)
	}
	got := Text(For(trace.Build(spans)[0], nil), 3, trace.Options{Width: 80})
	tracetest.Golden(t, "ready-80.txt", got)
}

// ruleIDs are those of all rules.
func ruleIDs() (out []string) {
	for _, r := range rules {
		out = append(out, r.id)
	}
	return out
}
