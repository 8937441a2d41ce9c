# SPDX-License-Identifier: Apache-2.0
"""Writes a Llama of random weights that a processor serves in no time, and damaged copies of it: python model.py FOLDER"""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

HIDDEN, LAYERS, HEADS, KV_HEADS, MLP, VOCAB = 256, 2, 4, 2, 256, 512

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
    "hidden_size": HIDDEN, "intermediate_size": MLP, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "vocab_size": VOCAB, "max_position_embeddings": 4096, "hidden_act": "silu",
    "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}


def weights():
    def random(*shape):
        return (torch.randn(*shape) * 0.02).to(torch.bfloat16)

    kv = HIDDEN // HEADS * KV_HEADS
    out = {"model.embed_tokens.weight": random(VOCAB, HIDDEN), "lm_head.weight": random(VOCAB, HIDDEN), "model.norm.weight": random(HIDDEN)}
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        for name, rows in (("q", HIDDEN), ("k", kv), ("v", kv), ("o", HIDDEN)):
            out[f"{layer}self_attn.{name}_proj.weight"] = random(rows, HIDDEN)
        out[layer + "mlp.gate_proj.weight"] = random(MLP, HIDDEN)
        out[layer + "mlp.up_proj.weight"] = random(MLP, HIDDEN)
        out[layer + "mlp.down_proj.weight"] = random(HIDDEN, MLP)
        out[layer + "input_layernorm.weight"] = random(HIDDEN)
        out[layer + "post_attention_layernorm.weight"] = random(HIDDEN)
    return out


def write(name, text):
    with open(name, "w", encoding="utf-8") as f:
        json.dump(text, f)


def model(folder):
    os.makedirs(folder)
    write(folder + "/config.json", CONFIG)
    save_file(weights(), folder + "/model.safetensors", metadata={"format": "pt"})
    words = ["<pad>", "<s>", "</s>", "<unk>"] + [f"w{i}" for i in range(VOCAB - 4)]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(folder + "/tokenizer.json")
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    write(folder + "/tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 4096, **special})


def main(root):
    model(root + "/good")
    shutil.copytree(root + "/good", root + "/truncated")
    os.truncate(root + "/truncated/model.safetensors", os.path.getsize(root + "/good/model.safetensors") // 2)
    shutil.copytree(root + "/good", root + "/unknown")
    write(root + "/unknown/config.json", {**CONFIG, "architectures": ["NobodyKnowsForCausalLM"]})


main(sys.argv[1])
