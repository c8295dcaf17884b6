"""The comparison of embed_anchors.rs: scikit-learn's logistic regression on the same vectors of the same rows.

python embed_anchors_sklearn.py OUT      (scikit-learn 1.9; OUT is the folder that embed_anchors.rs wrote)
"""

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

MIN_TRAIN, MIN_TEST = 20, 10


def one_set(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    vectors = np.array([row["vector"] or [0.0] * len(rows[0]["vector"]) for row in rows])
    for label in sorted({name for row in rows for name in row["labels"]}):
        known = [at for at, row in enumerate(rows) if label in row["labels"]]
        seen = [at for at in known if not rows[at]["test"]]
        unseen = [at for at in known if rows[at]["test"]]
        truth = lambda places: [rows[at]["labels"][label] for at in places]
        if sum(truth(seen)) < MIN_TRAIN or sum(truth(unseen)) < MIN_TEST:
            continue
        model = LogisticRegression(C=10, solver="liblinear").fit(vectors[seen], truth(seen))
        ap = average_precision_score(truth(unseen), model.decision_function(vectors[unseen]))
        print(path.stem, label, f"{ap:.3f}", sep="\t", flush=True)


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).glob("*.jsonl")):
        one_set(path)
