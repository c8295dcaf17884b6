"""Google's own client against `safeguard serve`: found by its description, it analyses comments as it did before."""

import os

from googleapiclient import discovery
from googleapiclient.errors import HttpError

ROOT = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")

client = discovery.build(
    "commentanalyzer",
    "v1alpha1",
    developerKey="any",
    discoveryServiceUrl=ROOT + "/$discovery/rest?version=v1alpha1",
    static_discovery=False,
)
request = {
    "comment": {"text": "Buy now!"},
    "requestedAttributes": {"SPAM": {}},
    "languages": ["en"],
    "doNotStore": True,
}
reply = client.comments().analyze(body=request).execute()
score = reply["attributeScores"]["SPAM"]["summaryScore"]
assert 0 <= score["value"] <= 1 and score["type"] == "PROBABILITY", reply
assert reply["languages"] == ["en"], reply

request["requestedAttributes"] = {"FLIRTATION": {}}
try:
    client.comments().analyze(body=request).execute()
except HttpError as error:
    assert error.resp.status == 400 and "FLIRTATION" in error.reason, error
else:
    raise AssertionError("no error")
print("ok")
