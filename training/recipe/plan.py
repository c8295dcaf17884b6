"""The plan of the built-in model: short policies made of words first, real text and the shipped policies later."""

from __future__ import annotations

from .train import Plan, Stage

MATCH = {"words": 0.35, "categories": 0.45, "acts": 0.2}
READ = {"words": 0.04, "categories": 0.16, "acts": 0.28, "labelled": 0.36, "mixed": 0.16}
JUDGE = {"words": 0.02, "categories": 0.1, "acts": 0.25, "labelled": 0.31, "mixed": 0.14, "shipped": 0.18}


def plan(tokens: int) -> Plan:
    stages = (
        Stage("match", tokens // 6, MATCH, most_rules=4, full=0.1, n_items=32, final_share=0.0, bare=True, free_codes=True, tokens_per_step=4000),
        Stage("read", tokens * 11 // 20, READ, most_rules=8, full=0.5, n_items=28, final_share=0.2),
        Stage("judge", tokens, JUDGE, most_rules=9, full=0.8, n_items=28, final_share=0.3, quantised=True),
    )
    return Plan(stages, tokens)
