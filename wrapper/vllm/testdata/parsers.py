# SPDX-License-Identifier: Apache-2.0
"""Writes parsers.tsv: which of vLLM's servers, by version, has a parser that knows --otlp-traces-endpoint.

    for v in 0.5.0 0.5.1 …; do
      pip download --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux1_x86_64 \
        --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux_2_31_x86_64 -d wheels vllm==$v
      unzip -q wheels/vllm-$v-*.whl 'vllm/*.py' -d sources/$v
    done
    python parsers.py sources > parsers.tsv

Reads source only: a server knows the flag if it, or the main that it takes from elsewhere, builds its parser with
make_arg_parser or the engine's add_cli_args, and the engine's arguments hold the flag.
"""
import ast
import pathlib
import sys

SERVERS = {
    "vllm serve": ["vllm.entrypoints.cli.serve", "vllm.scripts"],
    "vllm.entrypoints.openai.api_server": ["vllm.entrypoints.openai.api_server"],
    "vllm.entrypoints.api_server": ["vllm.entrypoints.api_server"],
    "vllm.entrypoints.launchers.api_server.entry": ["vllm.entrypoints.launchers.api_server.entry"],
}


def builds(root, module):
    file = root / (module.replace(".", "/") + ".py")
    if not file.exists():
        return None
    found = False
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            f = node.func
            found |= isinstance(f, ast.Name) and f.id == "make_arg_parser"
            found |= (isinstance(f, ast.Attribute) and f.attr == "add_cli_args"
                      and isinstance(f.value, ast.Name) and f.value.id.endswith("EngineArgs"))
        if isinstance(node, ast.ImportFrom) and node.module and any(n.name == "main" for n in node.names):
            found |= bool(builds(root, node.module))
    return found


def key(path):
    return [int(n) for n in path.name.split(".")]


for root in sorted(pathlib.Path(sys.argv[1]).iterdir(), key=key):
    engine = "--otlp-traces-endpoint" in (root / "vllm/engine/arg_utils.py").read_text()
    for server, modules in SERVERS.items():
        found = [b for b in (builds(root, m) for m in modules) if b is not None]
        if found:
            print(root.name, server, "yes" if engine and any(found) else "no", sep="\t")
