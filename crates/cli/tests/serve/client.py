"""OpenAI's Python client against `safeguard serve`: moderations, chat and responses whole and streamed, errors."""

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


question = dict(
    model="safeguard", instructions=POLICY, input="Buy now!", reasoning={"effort": "low"}, extra_body={"seed": 1},
    include=["message.output_text.logprobs"], top_logprobs=2,
)
whole = client.responses.create(**question)
thought, message = whole.output
assert whole.status == "completed" and whole.reasoning.effort == "low"
assert set(json.loads(whole.output_text)) == {"violation", "label", "rule_ids", "confidence", "rationale"}
assert thought.type == "reasoning" and thought.summary == [] and thought.content[0].text
assert "".join(token.token for token in message.content[0].logprobs) == whole.output_text
usage = whole.usage
assert usage.total_tokens == usage.input_tokens + usage.output_tokens
assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens

said, reasoning, names = "", "", []
for event in client.responses.create(**question, stream=True):
    names.append(event.type)
    if event.type == "response.output_text.delta":
        said += event.delta
    elif event.type == "response.reasoning_text.delta":
        reasoning += event.delta
assert names[0] == "response.created" and names[-1] == "response.completed", names
assert (said, reasoning) == (whole.output_text, thought.content[0].text)
with client.responses.stream(**question) as stream:
    final = stream.get_final_response()
assert final.output_text == whole.output_text and final.usage.total_tokens == usage.total_tokens

form = {"type": "json_schema", "name": "verdict", "strict": True, "schema": {"type": "object"}}
error = refused(
    openai.UnprocessableEntityError, lambda: client.responses.create(**question, text={"format": form})
)
assert error.param == "text.format", error
form["schema"] = json.loads(error.body["message"].split("send this schema: ")[1])
bound = client.responses.create(**question, text={"format": form})
assert bound.output_text == whole.output_text and bound.text.format.type == "json_schema"

error = refused(openai.NotFoundError, lambda: client.chat.completions.create(model="gpt-x", messages=messages))
assert error.code == "model_not_found", error
error = refused(openai.UnprocessableEntityError, lambda: client.moderations.create(input=[]))
assert error.param == "input", error
print("ok")
