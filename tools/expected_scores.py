#!/usr/bin/env python3
"""Writes a file of expected scores for `--expected` (model.expected), from sentence-transformers.

    pip install sentence-transformers
    tools/expected_scores.py owner/model --revision COMMIT > expected.json
    tools/expected_scores.py ./directory --sets sets.jsonl > expected.json
    tools/expected_scores.py owner/nli-model --label entailment > expected.json

The pairs are those of a few built-in sets, or of candidate sets (one JSON object a line, as for
`crossrank rerank`). The scores are raw logits in float32 on the CPU: no sigmoid, whatever the model's
own activation is; of a model with several labels, the log-odds of the given one against all others.
Pairs that the model cuts are left out, so that a difference is never one of limits.
"""

import argparse
import json
import sys

import sentence_transformers
import torch
from sentence_transformers import CrossEncoder

SETS = [
    (
        "How many people live in Berlin?",
        [
            "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
            "Berlin is well known for its museums.",
        ],
    ),
    (
        "which mushrooms are not safe to eat raw",
        [
            "Morels must never be eaten raw: cooking destroys the toxin that they contain.",
            "The largest organism on earth is a fungus in Oregon.",
            "¿Qué setas se comen crudas? – 生のキノコ 🍄",
        ],
    ),
]


def candidate_sets(path, limit):
    """Query and passages of each line."""
    with open(path, encoding="utf-8") as lines:
        for number, line in zip(range(limit), lines):
            record = json.loads(line)
            if "candidates" not in record:
                sys.exit(f"{path}:{number + 1}: candidates is missing; sets of several lists are not read here")
            yield record["query"], [candidate["text"] for candidate in record["candidates"]]


def chosen_label(model, asked):
    """Index and name of the label with this name, or else with this index; None of a model with one label."""
    names = [str(model.config.id2label[index]) for index in range(model.num_labels)]
    if len(names) == 1:
        return None
    known = ", ".join(f"{index} {name!r}" for index, name in enumerate(names))
    if asked in names:
        return names.index(asked), asked
    if asked is not None and asked.isdecimal() and int(asked) < len(names):
        return int(asked), names[int(asked)]
    sys.exit(f"choose one of the model's labels with --label: {known}")


def log_odds(logits, label):
    """Of one label against all others."""
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], dim=1)
    return logits[:, label] - torch.logsumexp(others, dim=1)


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("model", help="name on the hub, or a directory")
    arguments.add_argument("--revision", help="branch, tag or commit")
    arguments.add_argument("--sets", help="candidate sets, one JSON object a line")
    arguments.add_argument("--limit", type=int, default=10, help="sets to take at most (default: 10)")
    arguments.add_argument("--label", help="of several labels, the one to score: its name, or else its index")
    given = arguments.parse_args()

    torch.manual_seed(0)
    model = CrossEncoder(given.model, revision=given.revision, device="cpu")
    model.eval()
    label = chosen_label(model, given.label)
    # The older name is deprecated where the newer one exists.
    longest = model.max_seq_length if hasattr(model, "max_seq_length") else model.max_length
    tokenizer = model.tokenizer
    sets = SETS if given.sets is None else candidate_sets(given.sets, given.limit)
    source = f"sentence-transformers {sentence_transformers.__version__}"
    expected = []
    for query, passages in sets:
        lengths = [len(tokenizer(query, passage)["input_ids"]) for passage in passages]
        passages = [text for text, length in zip(passages, lengths) if not longest or length <= longest]
        if not passages:
            continue
        pairs = [(query, passage) for passage in passages]
        logits = model.predict(pairs, activation_fn=torch.nn.Identity(), convert_to_numpy=True)
        if label is not None:
            logits = log_odds(torch.from_numpy(logits).double(), label[0])
        expected.append(
            {
                "models": [given.model],
                "source": source,
                "query": query,
                "passages": passages,
                **({} if label is None else {"label": label[1]}),
                "logits": [float(logit) for logit in logits],
            }
        )
    json.dump(expected, sys.stdout, ensure_ascii=False, indent=2)
    print()


if __name__ == "__main__":
    main()
