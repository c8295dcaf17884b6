"""OpenAI's Python client against `safeguard serve`: files and batches from upload to results."""

import json
import time

import openai
from openai import OpenAI

client = OpenAI(max_retries=0)


def lines(endpoint, bodies):
    requests = [
        {"custom_id": name, "method": "POST", "url": endpoint, "body": body} for name, body in bodies.items()
    ]
    return "\n".join(json.dumps(request) for request in requests).encode()


def run(endpoint, bodies):
    file = client.files.create(file=("in.jsonl", lines(endpoint, bodies)), purpose="batch")
    assert file.purpose == "batch" and file.status == "processed", file
    batch = client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"night": "7"}
    )
    assert batch.metadata == {"night": "7"} and batch.request_counts.total == len(bodies), batch
    while batch.status in ("in_progress", "finalizing"):
        time.sleep(0.05)
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed" and batch.completed_at, batch
    return batch


def replies(file_id):
    if file_id is None:
        return {}
    return {reply["custom_id"]: reply for reply in map(json.loads, client.files.content(file_id).text.splitlines())}


batch = run("/v1/moderations", {"one": {"input": "Buy now!"}, "two": {"input": ["a", "b"]}, "bad": {"input": []}})
good, bad = replies(batch.output_file_id), replies(batch.error_file_id)
assert set(good) == {"one", "two"} and set(bad) == {"bad"}, (good, bad)
direct = client.moderations.create(input="Buy now!").results[0].model_dump(by_alias=True)
assert good["one"]["response"]["body"]["results"][0]["flagged"] == direct["flagged"]
assert len(good["two"]["response"]["body"]["results"]) == 2
assert bad["bad"]["response"]["status_code"] == 422 and bad["bad"]["error"] is None

messages = [{"role": "user", "content": "Buy now!"}]
batch = run("/v1/chat/completions", {"a": {"model": "safeguard/ads", "messages": messages}})
completion = replies(batch.output_file_id)["a"]["response"]["body"]
verdict = json.loads(completion["choices"][0]["message"]["content"])
assert set(verdict) == {"violation", "label", "rule_ids", "confidence", "rationale"} and verdict["rationale"]
assert completion["usage"]["total_tokens"] > 0

listed = [batch.id for batch in client.batches.list(limit=1)]
assert len(listed) == 2 and listed[0] == batch.id, "pages follow one another"
outputs = [file.id for file in client.files.list(purpose="batch_output")]
assert batch.output_file_id in outputs
assert client.files.delete(batch.output_file_id).deleted
try:
    client.files.retrieve(batch.output_file_id)
    raise AssertionError("it is still there")
except openai.NotFoundError:
    pass
cancelled = client.batches.cancel(batch.id)
assert cancelled.status == "completed", "what is over stays as it was"
print("ok")
