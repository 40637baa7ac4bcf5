#!/usr/bin/env python3
"""Write a cross-encoder of a well-known shape with random weights, to measure speed and memory with.

    random_model.py SHAPE OUT --tokenizer DIR

SHAPE is xlm-roberta-base, modernbert-base or deberta-v3-base. Scores mean nothing; sizes and cost are those of the
models of that shape. The tokenizer is that of DIR, any model with a smaller vocabulary, so that all shapes read the same
tokens. Needs torch and transformers.
"""
import argparse
import pathlib
import shutil

import torch
import transformers as hf

SEED = 20261127

SHAPES = {
    "xlm-roberta-base": lambda: hf.XLMRobertaForSequenceClassification(hf.XLMRobertaConfig(
        vocab_size=250002, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=3072, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, num_labels=1)),
    "modernbert-base": lambda: hf.ModernBertForSequenceClassification(hf.ModernBertConfig(num_labels=1)),
    "deberta-v3-base": lambda: hf.DebertaV2ForSequenceClassification(hf.DebertaV2Config(
        vocab_size=128100, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=3072, max_position_embeddings=512, type_vocab_size=0, layer_norm_eps=1e-7,
        relative_attention=True, max_relative_positions=-1, position_buckets=256,
        norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"],
        position_biased_input=False, pooler_hidden_size=768, pooler_hidden_act="gelu",
        pooler_dropout=0.0, num_labels=1)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    model = SHAPES[arguments.shape]().eval()
    arguments.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(arguments.out)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(arguments.tokenizer / name, arguments.out / name)
    millions = sum(weight.numel() for weight in model.parameters()) / 1e6
    print(f"{arguments.out}: {arguments.shape}, {millions:.0f} million parameters")


if __name__ == "__main__":
    main()
