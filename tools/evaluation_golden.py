#!/usr/bin/env python3
"""Writes the figures that the evaluation's measures are held to, from ir_measures.

    pip install ir_measures
    tools/evaluation_golden.py tests/data/evaluation

Inside ir_measures pytrec_eval computes most of them, and breaks ties as trec_eval does. What others compute, who break
them otherwise, is computed of a run whose ties were broken beforehand.

A made-up run and its judgements, in which everything occurs that measures may differ in: ties, grades below 0,
documents that nobody judged, relevant ones that were not found, queries without anything relevant, without a
judgement, and without a ranking.
"""

import json
import random
import struct
import sys
from pathlib import Path

import ir_measures
from ir_measures import AP, P, R, RR, Judged, nDCG

QUERIES = 24
DOCUMENTS = 40
MEASURES = {
    1: {
        "ndcg": nDCG, "ndcg@1": nDCG @ 1, "ndcg@5": nDCG @ 5, "ndcg@10": nDCG @ 10, "ndcg@100": nDCG @ 100,
        "mrr": RR, "mrr@3": RR @ 3, "mrr@10": RR @ 10,
        "recall@5": R @ 5, "recall@100": R @ 100,
        "map": AP, "map@10": AP @ 10,
        "p@1": P @ 1, "p@5": P @ 5, "p@30": P @ 30,
        "judged@5": Judged @ 5, "judged@10": Judged @ 10,
    },
    2: {
        "mrr@10": RR(rel=2) @ 10, "recall@10": R(rel=2) @ 10, "map": AP(rel=2), "p@10": P(rel=2) @ 10,
    },
}


def made_up():
    """Lines of the run and of the judgements."""
    chance = random.Random(20261127)
    run, qrels = [], []
    for number in range(QUERIES):
        query = f"q{number}"
        documents = [f"d{document}" for document in range(DOCUMENTS)]
        if number != 5:  # nobody judged
            for document in chance.sample(documents, chance.randint(1, 25)):
                grade = chance.choice([-1, 0, 0, 0, 1, 1, 2, 3] if number != 7 else [-1, 0])  # nothing relevant
                qrels.append(f"{query} 0 {document} {grade}")
        if number != 9:  # no ranking
            for rank, document in enumerate(chance.sample(documents, chance.randint(1, 30))):
                score = chance.choice([chance.gauss(0, 3), round(chance.gauss(0, 2)), 0.5])  # many ties
                run.append(f"{query} Q0 {document} {rank + 1} {score!r} made-up")
    chance.shuffle(run)
    chance.shuffle(qrels)
    return run, qrels


def is_foreign(measure):
    """Whether pytrec_eval leaves it to others."""
    return measure.NAME == "Judged" or (measure.NAME == "RR" and "cutoff" in measure.params)


def without_ties(run):
    """The same order, as trec_eval sees it: by score in single precision, ties by name, the last one first."""
    single = lambda score: struct.unpack("f", struct.pack("f", score))[0]
    order = sorted(run, key=lambda entry: (single(entry.score), entry.doc_id), reverse=True)
    return [entry._replace(score=-rank) for rank, entry in enumerate(order)]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in zip(("made_up.trec", "made_up.qrels"), made_up()):
        (folder / name).write_text("\n".join(lines) + "\n")
    run = list(ir_measures.read_trec_run(str(folder / "made_up.trec")))
    qrels = list(ir_measures.read_trec_qrels(str(folder / "made_up.qrels")))
    ranked = {entry.query_id for entry in run}
    untied = without_ties(run)
    expected = {"source": f"ir_measures {ir_measures.__version__}", "values": []}
    for relevant, measures in MEASURES.items():
        for name, measure in measures.items():
            values = {
                value.query_id: round(float(value.value), 6)
                for value in ir_measures.iter_calc([measure], qrels, untied if is_foreign(measure) else run)
                if value.query_id in ranked  # as trec_eval without -c
            }
            expected["values"].append(
                {"measure": name, "relevant": relevant, "queries": dict(sorted(values.items()))}
            )
    lines = ",\n".join(json.dumps(values) for values in expected["values"])
    text = f'{{"source": {json.dumps(expected["source"])}, "values": [\n{lines}\n]}}\n'
    (folder / "expected.json").write_text(text)


if __name__ == "__main__":
    main()
