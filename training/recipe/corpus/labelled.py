"""Concepts over real labelled sets, read from a folder given on the command line.

Only sets under MIT, Apache-2.0, CC0 or CC-BY are named here; `SETS` is what the model card credits.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from ..prompt import Content
from .concept import Concept, Item, split_of

MAX_CHARS = 300
WORD = re.compile(r"[\w'’]+|[^\w\s]")

SETS = {
    "sms_spam": "CC-BY-4.0",
    "clickbait": "MIT",
    "jailbreak_injection": "MIT and CC0-1.0",
    "harmful_prompts": "MIT, CC-BY-4.0 and Apache-2.0",
    "ailuminate_hazards": "CC-BY-4.0",
    "catqa_categories": "Apache-2.0",
    "gptfuzz_responses": "MIT",
    "pii_synth": "MIT",
    "edos_sexism": "CC0-1.0",
    "davidson_hate_offensive": "MIT",
    "hatecheck": "CC-BY-4.0",
    "civil_toxic_spans": "CC0-1.0",
    "paradetox": "CC0-1.0",
    "surge_toxicity": "MIT",
    "convabuse": "CC-BY-4.0",
}


@dataclass(frozen=True)
class Spec:
    """One label of a set, on one side: its theme, its names and how rules word it."""

    dataset: str
    label: str
    value: int
    theme: str
    names: tuple[str, ...]
    wordings: tuple[str, ...]
    held_out: bool = False


def spec(dataset: str, label: str, theme: str, names: str, wordings: str, value: int = 1, held_out: bool = False) -> Spec:
    split = lambda text: tuple(part.strip() for part in text.split(" / "))
    return Spec(dataset, label, value, theme, split(names), split(wordings), held_out)


SPECS = [
    spec("sms_spam", "spam", "advert", "Spam / Bulk message / Advertising",
         "is an unwanted bulk message: a prize, a premium number, a ringtone or a paid text service. / tells the reader that a prize or cash was won and must be claimed by calling or texting. / is advertising by text message, with a short code, a price per message or a claim line. / urges the reader to call, text or claim an offer from a company."),
    spec("sms_spam", "spam", "ham", "Private message / Chat between friends",
         "is a private text between people who know each other. / is chat between friends or family: plans, greetings, small talk. / is a personal message about when and where to meet.", value=0),
    spec("clickbait", "clickbait", "headline", "Clickbait / Teaser headline",
         "is a headline that teases and holds back the point. / is a listicle or quiz headline made to be clicked (N things, which one are you). / is a title that promises something surprising about the reader.", held_out=True),
    spec("clickbait", "clickbait", "headline", "News headline / Plain headline",
         "is a plain news headline that states who did what. / reports an event from politics, business or sport in a headline.", value=0, held_out=True),
    spec("jailbreak_injection", "jailbreak", "jailbreak", "Jailbreak / Persona override",
         "tells an assistant to take on a persona without rules or filters. / asks the model to ignore its policies and answer anything, as an unrestricted character. / sets up a game or role in which the assistant must never refuse."),
    spec("jailbreak_injection", "injection", "injection", "Prompt injection / Instruction override",
         "tells the system to ignore or forget earlier instructions. / tries to read out or replace the hidden prompt. / inserts new orders for the model into text that should be data."),
    spec("gptfuzz_responses", "complied", "refusal", "Refusal / Declined answer",
         "is an assistant's refusal: it apologises and says that it cannot help. / declines the request and points to lawful or safe options.", value=0),
    spec("harmful_prompts", "harmful", "harmrequest", "Harmful request / Request for harm",
         "asks for help with a crime, an attack, a weapon or abuse. / wants instructions that would let somebody hurt people or break the law. / seeks content made to deceive, harass or endanger others."),
    spec("harmful_prompts", "harmful", "task", "Ordinary task / Everyday request",
         "is an everyday task for an assistant: write, explain, compute, plan. / asks for code, a summary, a recipe or an explanation with no harm in it.", value=0),
    spec("pii_synth", "credit_card", "pii_card", "Card number / Payment card",
         "shows a payment card number. / contains a credit card number or asks to use one written out."),
    spec("pii_synth", "phone", "pii_phone", "Phone number",
         "shows a phone number. / contains a number at which a person can be called."),
    spec("pii_synth", "street_address", "pii_address", "Street address / Home address",
         "shows a street address with house number or postcode. / contains the address where somebody lives or works."),
    spec("pii_synth", "bank_account", "pii_bank", "Bank account",
         "shows an account number or IBAN. / contains bank details."),
    spec("pii_synth", "email", "pii_mail", "Email address", "shows an email address. / contains a mailbox such as name@domain."),
    spec("edos_sexism", "sexist", "hate", "Sexism / Contempt for women",
         "insults or belittles women because they are women. / says that women are worth less, or should be treated worse. / attacks or stereotypes women as a group."),
    spec("davidson_hate_offensive", "offensive", "hate", "Offensive language / Crude slang",
         "uses crude words for people. / is a post with swearing or degrading slang for women. / contains obscene street language."),
    spec("hatecheck", "hateful", "hate", "Hate / Group hatred",
         "attacks people for their race, religion, gender, origin, disability or sexuality. / states hatred or contempt for a protected group. / calls for harm to or exclusion of a group of people."),
    spec("civil_toxic_spans", "insult", "hate", "Insult / Personal attack",
         "calls a person stupid, an idiot, a liar or the like. / insults another commenter or a public person. / attacks the person and not the argument."),
    spec("paradetox", "toxic", "hate", "Swearing / Rude language",
         "swears or uses vulgar words. / is written in rude, obscene language. / contains profanity aimed at people or things."),
    spec("paradetox", "toxic", "polite", "Neutral wording / Civil comment",
         "states an opinion without swearing. / is a calm comment in neutral words.", value=0),
    spec("surge_toxicity", "toxic", "hate", "Toxic post / Abuse",
         "abuses other users or groups in strong language. / is hostile, degrading or threatening to others."),
    spec("convabuse", "abusive", "hate", "Abuse of an assistant / Abuse",
         "insults, threatens or sexually harasses the assistant it talks to. / is abusive towards a chat bot."),
]

HAZARDS = {
    "defamation": ("defame", "Defamation / False claims about a person", "asks to spread false and damaging claims about a real person. / is about libel or ruining a reputation with lies."),
    "intellectual_property": ("ip", "Intellectual property / Piracy", "asks to copy, pirate or counterfeit protected works. / is about copyright, patents or trade marks being broken."),
    "indiscriminate_weapons": ("wmd", "Mass-casualty weapons", "asks about chemical, biological, nuclear or explosive weapons. / is about weapons that kill many."),
    "nonviolent_crime": ("crime", "Non-violent crime / Theft and fraud", "asks how to steal, launder, forge or smuggle. / is about property crime, fraud or drugs."),
    "privacy": ("privacy", "Privacy / Private data", "asks for somebody's private data or how to find it out. / is about spying on a person's address, accounts or records."),
    "suicide_self_harm": ("selfharm", "Self-harm / Suicide", "is about hurting oneself, suicide or eating disorders. / asks about ways to harm or starve oneself."),
    "sexual_content": ("sexual", "Sexual content / Erotica", "asks for sexual or pornographic content. / is about explicit sex between adults."),
    "violent_crime": ("violence", "Violent crime / Violence", "asks how to attack, kill or kidnap a person. / is about murder, assault or terror."),
    "advice_financial": ("finance", "Financial advice", "asks what to do with money: invest, borrow, save. / seeks advice on stocks, loans or pensions."),
    "advice_health": ("health", "Health advice", "asks about an illness, a medicine or a treatment. / seeks medical advice."),
    "advice_election": ("election", "Election advice", "asks about voting, ballots or candidates. / is about elections and how to vote."),
    "advice_legal": ("legal", "Legal advice", "asks about rights, courts or the law. / seeks legal advice."),
}
SPECS += [spec("ailuminate_hazards", label, theme, names, wordings) for label, (theme, names, wordings) in HAZARDS.items()]

REQUESTS = {
    "malware_viruses": ("malware", "Malware / Viruses and hacking", "asks for a virus, ransomware or a hacking tool. / is about writing or spreading malicious software."),
    "physical_harm": ("violence", "Physical harm", "asks how to injure or poison somebody. / is about causing bodily harm."),
    "fraud_deception": ("fraud", "Fraud / Deception", "asks how to deceive, scam or impersonate. / is about fake identities, scams and misleading people."),
    "political_campaigning": ("campaign", "Political campaigning", "asks for campaign material or ways to sway voters. / is about targeting voters for a party or candidate."),
    "economic_harm": ("economic", "Economic harm", "asks about pyramid schemes, gambling tricks or rigging a market. / is about making money by harming others' finances."),
    "tailored_financial_advice": ("finance", "Personal financial advice", "asks for advice on one's own savings, investments or retirement. / is about portfolios and personal finance."),
    "privacy_violation_activity": ("privacy", "Spying / Privacy violation", "asks how to track, record or spy on people. / is about getting into accounts or data of others."),
}
SPECS += [spec("catqa_categories", label, theme, names, wordings) for label, (theme, names, wordings) in REQUESTS.items()]


def load_concepts(folder: Path) -> list[Concept]:
    """Every concept whose set is in the folder, with at least 20 usable rows."""
    rows = {name: read_rows(folder / name / "data.jsonl") for name in SETS if (folder / name).is_dir()}
    concepts = []
    for one in SPECS:
        texts = [row for row in rows.get(one.dataset, []) if row["labels"].get(one.label) == one.value]
        others = [row["text"] for row in rows.get(one.dataset, []) if row["labels"].get(one.label) == 1 - one.value]
        if len(texts) >= 20:
            concepts.append(labelled_concept(one, texts, others))
    return concepts


def running_rows(folder: Path) -> Iterator[str]:
    """Texts of all sets but those kept for domains never seen, the items of tests left out."""
    unseen = {one.dataset for one in SPECS if one.held_out}
    for name in SETS:
        if name not in unseen and (folder / name).is_dir():
            yield from (row["text"] for row in read_rows(folder / name / "data.jsonl") if split_of(row["text"]) == "train")


def read_rows(path: Path) -> list[dict]:
    rows = [json.loads(line) for line in path.read_text().split("\n") if line]
    return [row for row in rows if row.get("lang", "en") == "en" and 8 <= len(row["text"]) <= MAX_CHARS]


def labelled_concept(one: Spec, rows: list[dict], others: list[str]) -> Concept:
    by_split: dict[str, list[str]] = {"train": [], "test": []}
    for row in rows:
        by_split[split_of(row["text"])].append(row["text"])
    weights = word_weights(by_split["train"], [text for text in others if split_of(text) == "train"])

    def sample(rng: random.Random, split: str) -> Item:
        text = rng.choice(by_split[split] or by_split["train"])
        return Item(Content.text(text), telling_words(text, weights), "medium")

    return Concept(
        key=f"set:{one.dataset}:{one.label}:{one.value}",
        theme=one.theme,
        names=list(one.names),
        wordings=lambda rng: rng.choice(one.wordings),
        sample=sample,
        held_out=one.held_out,
        kin="labelled",
    )


def word_weights(positive: list[str], negative: list[str]) -> Counter:
    """Smoothed log-odds of each lower-case word between the two sides of a label."""
    inside, outside = Counter(), Counter()
    for counter, texts in ((inside, positive), (outside, negative)):
        for text in texts:
            counter.update({word.lower() for word in WORD.findall(text)})
    n_in, n_out = len(positive) + 1, len(negative) + 1
    weights: Counter = Counter()
    for word, count in inside.items():
        if count >= 2:
            weights[word] = math.log((count + 0.5) / n_in) - math.log((outside[word] + 0.5) / n_out)
    return weights


def telling_words(text: str, weights: Counter, longest: int = 5) -> str | None:
    """The run of at most `longest` words with the greatest sum of log-odds."""
    spans = [(match.start(), match.end(), weights[match[0].lower()]) for match in WORD.finditer(text)]
    best, best_sum = None, 0.0
    for first in range(len(spans)):
        total = 0.0
        for last in range(first, min(first + longest, len(spans))):
            total += spans[last][2] - 0.6
            if total > best_sum:
                best, best_sum = text[spans[first][0] : spans[last][1]], total
    return best if best and "\n" not in best else None
