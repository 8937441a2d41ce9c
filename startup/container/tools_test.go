// SPDX-License-Identifier: Apache-2.0

package container

import (
	"strings"
	"testing"
)

func TestDownloadsAreRecognised(t *testing.T) {
	for command, want := range map[string]string{
		"./s5cmd  --numworkers 512 cp --concurrency 10 s3://b/m/* model_files": "s5cmd_download",
		"/workspace/s5cmd sync s3://b/m/* d":                                   "s5cmd_download",
		"s5cmd":                                                                "",
		"s5cmd ls s3://b":                                                      "",
		"azcopy copy --recursive https://x d":                                  "azcopy_download",
		"/opt/google-cloud-sdk/bin/gcloud storage rsync -r gs://b d":           "gcloud_download",
		"python3 -S /opt/google-cloud-sdk/lib/gcloud.py storage rsync -r gs://b d": "gcloud_download",
		"gcloud auth list": "",
		"/usr/bin/python3 /usr/local/bin/aws s3 cp s3://b d":                 "aws_download",
		"aws sts get-caller-identity":                                        "",
		"/usr/bin/python3 /usr/local/bin/huggingface-cli download org/model": "hf_download",
		"hf download org/model":                                              "hf_download",
		"hf auth whoami":                                                     "",
		"curl -sSL https://dl.google.com/sdk.tar.gz":                         "curl_download",
		"curl -s http://localhost:5005/health":                               "",
		"curl -s http://127.0.0.1:5005/health":                               "",
		"tar -xz -C /opt":                                                    "",
		"bash -c s5cmd cp a b":                                               "",
		"python -m vllm_server --model s5cmd":                                "",
	} {
		got := ""
		if d := downloadOf(strings.Fields(command)); d != nil {
			got = d.span
		}
		if got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

func TestRayIsRecognised(t *testing.T) {
	for command, want := range map[string][2]bool{
		"/bin/bash /workspace/init_ray.sh leader --ray_cluster_size=2":       {true, false},
		"/bin/bash /workspace/init_ray.sh worker --ray_address=x":            {true, true},
		"/usr/bin/python3 /usr/local/bin/ray start --head --port=6379":       {true, false},
		"/usr/bin/python3 /usr/local/bin/ray start --address x --block":      {true, true},
		"python3 init_ray_batch_inf_v2.py --mode wait_for_head_node_to_exit": {false, false}, // it has run ray start before
		"ray status": {false, false},
	} {
		starts, member := rayOf(strings.Fields(command))
		if starts != want[0] || member != want[1] {
			t.Errorf("%s: %v %v", command, starts, member)
		}
	}
}
