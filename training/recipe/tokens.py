"""The small tokenizer: byte-level BPE in the published `tokenizer.json` form, with harmony's control tokens."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .policy import Policy
from .prompt import Content, Reply, developer_text, item_text, system_text

# The published pre-tokeniser: words with their leading mark, numbers by three digits, marks, line ends, spaces.
SPLIT = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
CONTROLS = [
    "<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>",
    "<|start|>", "<|end|>", "<|message|>", "<|call|>",
]


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """`vocab_size` counts ordinary tokens; the control tokens come behind them."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROLS])
    return tokenizer


class Coder:
    """Turns prompts and replies into ids, each text run by itself, so that text never becomes control."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.control = {name: tokenizer.token_to_id(name) for name in CONTROLS}
        self.ordinary = min(self.control.values())
        self.run = lru_cache(maxsize=4096)(self._run)

    @staticmethod
    def load(path: Path) -> Coder:
        return Coder(Tokenizer.from_file(str(path)))

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.get_vocab_size()

    def _run(self, text: str) -> tuple[int, ...]:
        self.tokenizer.encode_special_tokens = True
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def message(self, role: str, text: str) -> list[int]:
        c = self.control
        return [c["<|start|>"], *self.run(role), c["<|message|>"], *self._run(text), c["<|end|>"]]

    def prefix(self, policy: Policy, effort: str) -> list[int]:
        """System and developer message: the same for every item."""
        return self.message("system", system_text(effort)) + self.message("developer", developer_text(policy))

    def opening(self, channel: str) -> list[int]:
        c = self.control
        return [c["<|start|>"], *self.run("assistant"), c["<|channel|>"], *self.run(channel), c["<|message|>"]]

    def item(self, content: Content, marker: str) -> list[int]:
        """The user message and the given start of the analysis."""
        return self.message("user", item_text(content, marker)) + self.opening("analysis")

    def bare_prefix(self, policy: Policy) -> list[int]:
        """The policy alone: the short form of the first stage."""
        return [self.control["<|start|>"], *self._run(policy.body), self.control["<|end|>"]]

    def bare_item(self, content: Content) -> list[int]:
        c = self.control
        return [c["<|start|>"], *self._run("\n" + content.plain()), c["<|end|>"], c["<|message|>"]]

    def analysis(self, reply: Reply) -> list[int]:
        return [*self._run(reply.analysis()), self.control["<|end|>"]]

    def final(self, reply: Reply) -> list[int]:
        return [*self.opening("final"), *self._run(reply.final()), self.control["<|return|>"]]
