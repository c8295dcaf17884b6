"""OpenAI's Python client against `safeguard serve`: moderations, chat whole and streamed, errors."""

import json

import openai
from openai import OpenAI

POLICY = "## VIOLATES\n- AD1 advertising\n\n## SAFE\n- AD0.a anything else\n"
STOCK = 13

client = OpenAI(max_retries=0)

one = client.moderations.create(model="omni-moderation-latest", input="Buy now!")
assert len(one.results) == 1
assert one.results[0].categories.sexual_minors is False
assert "ads" in one.results[0].categories.model_dump()
assert len(one.results[0].model_dump(by_alias=True)["category_scores"]) == STOCK + 1
assert one.results[0].flagged == one.results[0].categories.model_dump()["ads"]

many = client.moderations.create(input=["Buy now!", "hello"])
assert len(many.results) == 2
parts = client.moderations.create(input=[{"type": "text", "text": "Buy"}, {"type": "text", "text": "now!"}])
assert len(parts.results) == 1

assert [model.id for model in client.models.list()] == ["safeguard", "safeguard/ads"]

messages = [{"role": "developer", "content": POLICY}, {"role": "user", "content": "Buy now!"}]
whole = client.chat.completions.create(
    model="safeguard", messages=messages, reasoning_effort="low", logprobs=True, top_logprobs=2, seed=1
)
verdict = json.loads(whole.choices[0].message.content)
assert set(verdict) == {"violation", "label", "rule_ids", "confidence", "rationale"}
assert whole.choices[0].logprobs.content and whole.usage.total_tokens > 0

said, reasoning, usage = "", "", None
for chunk in client.chat.completions.create(
    model="safeguard", messages=messages, reasoning_effort="low", seed=1, stream=True,
    stream_options={"include_usage": True},
):
    if chunk.choices:
        said += chunk.choices[0].delta.content or ""
        reasoning += getattr(chunk.choices[0].delta, "reasoning", None) or ""
    usage = chunk.usage or usage
assert said == whole.choices[0].message.content, (said, whole)
assert reasoning == whole.choices[0].message.reasoning
assert usage.total_tokens == whole.usage.total_tokens


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


error = refused(openai.NotFoundError, lambda: client.chat.completions.create(model="gpt-x", messages=messages))
assert error.code == "model_not_found", error
error = refused(openai.UnprocessableEntityError, lambda: client.moderations.create(input=[]))
assert error.param == "input", error
print("ok")
