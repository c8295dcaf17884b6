"""How good verdicts are by people's labels.

python against.py VERDICTS.jsonl LABELLED.jsonl LABEL

VERDICTS is what `safeguard batch` wrote; an undetermined verdict finds nothing.
"""

import sys

from recall import lines


def main(verdicts: str, labelled: str, label: str) -> None:
    found = {row["id"] for row in lines(verdicts) if row["outcome"] == "violation"}
    truth = {row["id"] for row in lines(labelled) if row["labels"][label] == 1}
    both = len(found & truth)
    precision, recall = both / len(found), both / len(truth)
    print(f"precision {precision:.3f}, recall {recall:.3f}, F1 {2 * both / (len(found) + len(truth)):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
