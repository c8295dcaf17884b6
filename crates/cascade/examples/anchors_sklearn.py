"""The comparison of anchors.rs: scikit-learn's logistic regression on hashed n-grams, on the same split.

python anchors_sklearn.py DATA [SET...]      (scikit-learn 1.9; OMP_NUM_THREADS=1 for one thread)
"""

import json
import sys
from pathlib import Path

from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_union

MIN_TRAIN, MIN_TEST = 20, 10
# Scripts without spaces are read as runs of characters.
SPACELESS = {"cold_offensive", "japanese_toxic"}


def vectorizer(is_spaceless: bool):
    shared = {"norm": "l2", "alternate_sign": False}
    runs = {"analyzer": "char", "ngram_range": (1, 4)} if is_spaceless else {"analyzer": "char_wb", "ngram_range": (2, 5)}
    return make_union(
        HashingVectorizer(n_features=2**18, ngram_range=(1, 2), **shared),
        HashingVectorizer(n_features=2**19, **runs, **shared),
    )


def one_set(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text().split("\n") if line.strip()]
    cut = len(rows) * 7 // 10
    vectors = vectorizer(path.parent.name in SPACELESS).transform([row["text"] for row in rows]).tocsr()
    for label in sorted({name for row in rows for name in row["labels"]}):
        known = [at for at, row in enumerate(rows) if label in row["labels"]]
        seen, unseen = [at for at in known if at < cut], [at for at in known if at >= cut]
        truth = lambda places: [rows[at]["labels"][label] for at in places]
        if sum(truth(seen)) < MIN_TRAIN or sum(truth(unseen)) < MIN_TEST:
            continue
        model = LogisticRegression(C=10, solver="liblinear").fit(vectors[seen], truth(seen))
        ap = average_precision_score(truth(unseen), model.decision_function(vectors[unseen]))
        print(path.parent.name, label, f"{ap:.3f}", sep="\t", flush=True)


if __name__ == "__main__":
    data, *sets = sys.argv[1:]
    for name in sets or sorted(folder.name for folder in Path(data).iterdir()):
        if (Path(data) / name / "data.jsonl").is_file():
            one_set(Path(data) / name / "data.jsonl")
