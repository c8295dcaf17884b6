"""Concepts made of written word lists: a category (`mentions cheese`), an act, or an act with a category."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from ..prompt import Content
from .concept import Concept, Item, share_of, split_of

HERE = Path(__file__).resolve().parents[2] / "data"
HELD_OUT_SHARE = 0.2

MENTIONS = [
    "The {w} was on the table all morning.",
    "I keep thinking about the {w}.",
    "She told me about a {w} she saw.",
    "There is a {w} in the second picture.",
    "We talked about {w} until midnight.",
    "Not sure what to make of the {w}.",
    "He brought a {w} to the meeting.",
    "That {w} again, right next to the door.",
    "My neighbour has got a {w} now.",
    "ok so the {w} thing happened after lunch",
    "It was mostly {w} and a bit of rain.",
    "the {w}, the noise, the queue, all of it",
    "Saw this and thought of your {w}.",
    "They wrote {w} on the list twice.",
    "One {w}, two hours, no plan.",
    "And then came the {w}.",
]

FILLERS = [
    "Hope everyone is well.", "It is Tuesday already.", "Sorry for the long post.", "Thanks in advance.",
    "Not much else to say.", "Anyway, that is all.", "Back from work now.", "Hello all.", "Posting for a friend.",
    "First time here.", "You know how it is.", "It rained again.", "Edit: typo.", "Just saying.", "Long day.",
    "No idea what to think.", "Let me know.", "See you later.", "Have a good one.", "As I said before.",
]

NEUTRAL = [
    "I will be late by ten minutes.", "Nobody answered the first time.", "That was a quiet evening.",
    "We should talk about it tomorrow.", "He forgot what he wanted to say.", "It took longer than we thought.",
    "They moved it to next week.", "I agree with the person above.", "Could be true, could be not.",
    "She laughed and went upstairs.", "Two of us waited outside.", "This is the third time I ask.",
    "My brother said the same.", "It looked different in the morning.", "Please read the pinned post.",
    "I have no opinion on this.", "Same here, honestly.", "What happened after that?", "Still nothing new.",
]


@dataclass(frozen=True)
class Category:
    domain: str
    names: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        return share_of(self.domain, "unseen domain") < HELD_OUT_SHARE


@dataclass(frozen=True)
class Act:
    name: str
    wordings: tuple[str, ...]
    sentences: tuple[str, ...]


def categories(path: Path = HERE / "lexicon.txt") -> list[Category]:
    rows = []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        domain, names, words = (part.strip() for part in line.split("|"))
        rows.append(Category(domain, split_list(names, "/"), split_list(words, ",")))
    return rows


def acts(path: Path = HERE / "actions.txt") -> list[Act]:
    found: list[tuple[str, tuple[str, ...], list[str]]] = []
    for line in path.read_text().splitlines():
        if line.startswith("= "):
            name, wordings = line[2:].split(" | ")
            found.append((name, split_list(wordings, "/"), []))
        elif line.strip() and not line.startswith("#"):
            found[-1][2].append(line)
    return [Act(name, wordings, tuple(sentences)) for name, wordings, sentences in found]


def split_list(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def pick(rng: random.Random, pool: tuple[str, ...], split: str, salt: str) -> str:
    """A member of `pool` that belongs to the split; small pools are shared by both."""
    own = [member for member in pool if split_of(salt + member) == split]
    return rng.choice(own or list(pool))


def dressed(rng: random.Random, sentence: str) -> str:
    """The sentence as people post it: with small talk around it, in lower case, without a full stop."""
    if rng.random() < 0.35:
        extra = rng.choice(FILLERS + NEUTRAL)
        sentence = f"{extra} {sentence}" if rng.random() < 0.5 else f"{sentence} {extra}"
    roll = rng.random()
    if roll < 0.15:
        sentence = sentence.lower()
    elif roll < 0.25:
        sentence = sentence.rstrip(".")
    elif roll < 0.28:
        sentence = sentence.upper()
    return sentence


def fill(rng: random.Random, sentence: str, word: str) -> Item:
    """Puts the word in and finds it again after dressing, as it is spelled there."""
    text = dressed(rng, sentence.replace("{w}", word))
    return Item(Content.text(text), spelled(text, word))


def spelled(text: str, words: str) -> str | None:
    start = text.lower().find(words.lower())
    return None if start < 0 else text[start : start + len(words)]


def listed(rng: random.Random, words: tuple[str, ...], n: int) -> str:
    chosen = rng.sample(words, n)
    return chosen[0] if n == 1 else f"{', '.join(chosen[:-1])} {rng.choice(['or', 'and'])} {chosen[-1]}"


def category_wording(category: Category, rng: random.Random) -> str:
    name = rng.choice(category.names)
    some = listed(rng, category.words, min(len(category.words), rng.choice([2, 3, 4, 6, 8, 12])))
    return rng.choice(
        [
            f"mentions {name}, such as {some}.",
            f"is about {name} ({some}).",
            f"names {some}, or other {name}.",
            f"talks about {name}.",
            f"any post on {name}, for example {some}.",
            f"contains words for {name}: {some}.",
            f"refers to {some}.",
        ]
    )


def category_concept(category: Category) -> Concept:
    def sample(rng: random.Random, split: str) -> Item:
        word = rng.choice(category.words)
        return fill(rng, pick(rng, tuple(MENTIONS), split, "mention"), word)

    titles = [name.title() for name in category.names]
    return Concept(
        key=f"category:{category.names[0]}",
        theme=f"category:{category.domain}:{category.names[0]}",
        names=titles,
        wordings=lambda rng: category_wording(category, rng),
        sample=sample,
        held_out=category.held_out,
        kin="category",
    )


def act_concept(act: Act, category: Category | None) -> Concept:
    """An act on anything (`category` absent) or on things of one category."""

    def wording(rng: random.Random) -> str:
        if category is None:
            things = rng.choice(["something", "a thing", "an item", "any object"])
        else:
            things = rng.choice(category.names)
            if rng.random() < 0.4:
                things += f" such as {listed(rng, category.words, 2)}"
        return rng.choice(act.wordings).replace("{c}", things) + "."

    def sample(rng: random.Random, split: str) -> Item:
        words = (category or rng.choice(ALL)).words
        sentence = pick(rng, act.sentences, split, "act")
        item = fill(rng, sentence, rng.choice(words))
        return Item(item.content, act_evidence(sentence, item), item.confidence)

    suffix = category.names[0] if category else "anything"
    return Concept(
        key=f"act:{act.name}:{suffix}",
        theme=f"act:{act.name}",
        names=[act.name],
        wordings=wording,
        sample=sample,
        held_out=bool(category and category.held_out),
        kin="act",
    )


def act_evidence(sentence: str, item: Item) -> str | None:
    """The clause around the slot: the act shows in the words next to the thing."""
    text = item.content.turns[0][1]
    before, after = sentence.split("{w}", 1)
    start = text.lower().find(before.lower()) if before else 0
    if start < 0 or item.evidence is None:
        return item.evidence
    words_before = before.split(" ")[-4:]
    lead = " ".join(words_before)
    tail = " ".join(after.split(" ")[:2]) if len(before.split()) < 2 else ""
    phrase = spelled(text, f"{lead}{item.evidence}{tail}".rstrip(" .,!?"))
    return (phrase or item.evidence).strip()


ALL = categories()
ACTS = acts()


def neutral_item(rng: random.Random) -> Item:
    """Small talk that no rule is about."""
    return Item(Content.text(dressed(rng, rng.choice(NEUTRAL))), None)
