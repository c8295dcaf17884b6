"""The rows of the page "The cascade on 20,000 items", from a folder of labelled sets.

python mix.py DATA OUT

DATA holds clickbait, paradetox and wiki_context_toxicity, each a folder with data.jsonl. OUT gets four files of
{"id","text","labels":{"rude":0|1}}: train.jsonl, calibrate.jsonl and traffic.jsonl from one mixture of comments and
headlines, and drift.jsonl of headlines alone.
"""

import json
import random
import sys
from pathlib import Path

SEED = 1
N_TRAFFIC, N_TRAIN, N_DRIFT = 20_000, 3_000, 4_500
N_RUDE, N_WIKI = 3_000, 10_500


def rows_of(data: Path, name: str, label: str | None, wanted: int) -> list[dict]:
    """Rows whose `label` is `wanted` (any row without a label to ask for), as rude or not."""
    rows = []
    for line in (data / name / "data.jsonl").read_text(encoding="utf-8").split("\n"):
        if not line.strip():
            continue
        row = json.loads(line)
        if label is None or row["labels"].get(label) == wanted:
            rows.append({"id": row["id"], "text": row["text"], "labels": {"rude": wanted}})
    return rows


def without_repeats(rows: list[dict]) -> list[dict]:
    """The first row of each text."""
    first = {}
    for row in rows:
        first.setdefault(row["text"], row)
    return list(first.values())


def main(data: Path, out: Path) -> None:
    chance = random.Random(SEED)
    headlines = without_repeats(rows_of(data, "clickbait", None, 0))
    wiki = rows_of(data, "wiki_context_toxicity", "toxic", 0)
    rude = rows_of(data, "paradetox", "toxic", 1)
    for rows in (headlines, wiki, rude):
        chance.shuffle(rows)
    drift, headlines = headlines[:N_DRIFT], headlines[N_DRIFT:]
    pool = without_repeats(headlines + rows_of(data, "paradetox", "toxic", 0) + wiki[:N_WIKI] + rude[:N_RUDE])
    chance.shuffle(pool)
    files = {
        "train": pool[N_TRAFFIC : N_TRAFFIC + N_TRAIN],
        "calibrate": pool[N_TRAFFIC + N_TRAIN :],
        "traffic": pool[:N_TRAFFIC],
        "drift": drift,
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (out / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name}: {len(rows)} rows, {sum(row['labels']['rude'] for row in rows)} rude")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
