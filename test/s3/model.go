// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// NewModel makes up the files of a model as a Hugging Face repository has them: shards with a valid safetensors header,
// their index, a configuration and a tokenizer, and two files that a download by pattern must leave alone.
// size is the length of all shards together, in bytes.
func NewModel(name string, size int64, shards int) []*Object {
	weightMap := map[string]string{}
	var objects []*Object
	for i := range shards {
		length := size / int64(shards)
		if i == 0 {
			length += size % int64(shards)
		}
		file := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, shards)
		tensor := fmt.Sprintf("model.layers.%d.weight", i)
		weightMap[tensor] = file
		objects = append(objects, newNoise(name+"/"+file, safetensorsHeader(tensor, length), length))
	}
	return append(objects,
		newText(name+"/model.safetensors.index.json", toJSON(map[string]any{
			"metadata": map[string]any{"total_size": size}, "weight_map": weightMap,
		})),
		newText(name+"/config.json", toJSON(map[string]any{
			"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "torch_dtype": "bfloat16",
			"hidden_size": 4096, "num_hidden_layers": shards, "num_attention_heads": 32, "vocab_size": 256,
		})),
		newText(name+"/tokenizer.json", toJSON(map[string]any{"version": "1.0", "model": map[string]any{"type": "BPE", "vocab": map[string]int{}}})),
		newText(name+"/tokenizer_config.json", toJSON(map[string]any{"tokenizer_class": "PreTrainedTokenizerFast"})),
		newNoise(name+"/optimizer.bin", nil, megabyte),
		newText(name+"/README.md", "Made-up weights for tests.\n"),
	)
}

// safetensorsHeader begins a file of length bytes that holds one tensor.
func safetensorsHeader(tensor string, length int64) []byte {
	const headerSize = 256 // the format allows the header to be padded with blanks
	data := length - 8 - headerSize
	header := fmt.Appendf(nil, `{%q:{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, tensor, data, data)
	b := binary.LittleEndian.AppendUint64(nil, headerSize)
	return fmt.Appendf(b, "%-*s", headerSize, header)
}

func toJSON(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // maps of plain values
	}
	return string(b) + "\n"
}
