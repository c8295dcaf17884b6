"""The rows of the page "The cascade on 20,000 items", from a folder of labelled sets.

python mix.py DATA OUT

DATA holds clickbait, paradetox, wiki_context_toxicity and sms_spam, each a folder with data.jsonl. OUT gets four files
of {"id","text","labels":{"rude":0|1}}: train.jsonl, calibrate.jsonl, traffic.jsonl, and drift.jsonl from a surface that
the other three know nothing of.
"""

import json
import random
import sys
from pathlib import Path

SEED = 1
N_TRAFFIC, N_TRAIN, N_RUDE, N_WIKI = 20_000, 3_000, 3_000, 6_000


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
    wiki = rows_of(data, "wiki_context_toxicity", "toxic", 0)
    rude = rows_of(data, "paradetox", "toxic", 1)
    chance.shuffle(wiki)
    chance.shuffle(rude)
    calm = rows_of(data, "clickbait", None, 0) + rows_of(data, "paradetox", "toxic", 0) + wiki[:N_WIKI]
    pool = without_repeats(calm + rude[:N_RUDE])
    chance.shuffle(pool)
    seen = {row["text"] for row in pool}
    drift = [row for row in without_repeats(rows_of(data, "sms_spam", None, 0)) if row["text"] not in seen]
    chance.shuffle(drift)
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
