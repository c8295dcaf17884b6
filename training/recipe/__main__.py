"""`python -m recipe COMMAND --data DIR --out DIR`: from labelled sets to a checkpoint.

all      tokenizer, training, export, evaluation, card: everything, resuming where it was cut
train    tokenizer and training only
export   the newest checkpoint into the published layout
evaluate judge the test sets with the safeguard program and write the card
golden   prompts and tokens that the Rust renderer must equal
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .card import write_card
from .corpus.mixture import Mixture
from .corpus.texts import running_text, tokenizer_text
from .evaluate import evaluate
from .export import export
from .golden import write_golden
from .network import Network, Shape
from .plan import plan
from .start import begin
from .tokens import Coder, train_tokenizer
from .train import Trainer

ROOT = Path(__file__).resolve().parents[2]
ORDINARY_TOKENS = 8192


def main() -> None:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    commands = {
        "train": [train],
        "export": [export_newest],
        "evaluate": [judge_tests],
        "golden": [golden],
        "all": [train, export_newest, judge_tests, golden],
    }
    for command in commands[args.command]:
        command(args)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recipe", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=["all", "train", "export", "evaluate", "golden"])
    parser.add_argument("--data", type=Path, help="folder of labelled sets, one folder a set with data.jsonl")
    parser.add_argument("--out", type=Path, default=Path("run"), help="tokenizer, checkpoints and logs (default: run)")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "builtin", help="where the exported model goes")
    parser.add_argument("--program", type=Path, default=ROOT / "target" / "release" / "safeguard", help="the safeguard program that judges the tests")
    parser.add_argument("--tokens", type=int, default=21_000_000, help="length of training in tokens (default: that of the shipped model)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; the same command goes on later")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cases", type=int, default=400, help="items of each test set")
    return parser.parse_args()


def mixture(args: argparse.Namespace) -> Mixture:
    return Mixture(args.data, ROOT / "policies", ROOT / "training" / "data" / "written")


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    tasks = mixture(args)
    tokenizer_path = args.out / "tokenizer.json"
    if not tokenizer_path.is_file():
        train_tokenizer(tokenizer_text(tasks), ORDINARY_TOKENS).save(str(tokenizer_path))
    coder = Coder.load(tokenizer_path)
    network = Network(Shape(vocab_size=coder.vocab_size))
    trainer = Trainer(network, coder, tasks, plan(args.tokens), args.out)
    if not trainer.resume():
        begin(network, coder, running_text(tasks))
    trainer.run(args.minutes)


def export_newest(args: argparse.Namespace) -> None:
    state = torch.load(args.out / "checkpoint.pt", weights_only=False)
    network = Network(Shape(**state["shape"]))
    network.load_state_dict(state["network"])
    tokenizer_path = args.out / "tokenizer.json"
    export(network, Coder.load(tokenizer_path), tokenizer_path, args.model)


def judge_tests(args: argparse.Namespace) -> None:
    report = evaluate(mixture(args), args.program, args.model, args.cases)
    write_card(report, args.out, args.model)


def golden(args: argparse.Namespace) -> None:
    write_golden(mixture(args), Coder.load(args.model / "tokenizer.json"), ROOT / "crates" / "reasoner" / "tests" / "fixtures")


if __name__ == "__main__":
    main()
