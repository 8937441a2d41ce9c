// SPDX-License-Identifier: Apache-2.0

package endpoint

import "github.com/coldtrace/coldtrace/engine"

// What engines are called.
const (
	VLLM        = engine.VLLM
	SGLang      = engine.SGLang
	TGI         = "tgi"
	TensorRTLLM = "tensorrt_llm"
	Triton      = "triton"
	LightLLM    = "lightllm"
	LMDeploy    = "lmdeploy"
	NIM         = engine.NIM
	Ray         = "ray"
	Dynamo      = "dynamo"
	KServeHF    = "huggingfaceserver"
	TEI         = "tei"
	LlamaCPP    = "llama_cpp"
)
