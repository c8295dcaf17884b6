// OpenAI's Node client against `safeguard serve`: moderations, chat and responses whole and streamed, errors.

import assert from "node:assert/strict";

const { default: OpenAI } = await import(process.env.OPENAI_PACKAGE);
const client = new OpenAI({ maxRetries: 0 });

const many = await client.moderations.create({ input: ["Buy now!", "hello"] });
assert.equal(many.results.length, 2);
assert.equal(many.results[0].categories["sexual/minors"], false);
assert.equal(many.results[0].flagged, many.results[0].categories.ads);

const policy = "## VIOLATES\n- AD1 advertising\n\n## SAFE\n- AD0.a anything else\n";
const question = {
  model: "safeguard",
  seed: 1,
  messages: [{ role: "developer", content: policy }, { role: "user", content: "Buy now!" }],
};
const whole = await client.chat.completions.create(question);
assert.ok("violation" in JSON.parse(whole.choices[0].message.content));
let said = "";
for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
  said += chunk.choices[0]?.delta?.content ?? "";
}
assert.equal(said, whole.choices[0].message.content);

const asked = { model: "safeguard", instructions: policy, input: "Buy now!", seed: 1 };
const response = await client.responses.create(asked);
assert.equal(response.status, "completed");
assert.ok("violation" in JSON.parse(response.output_text));
let text = "";
let last;
for await (const event of await client.responses.create({ ...asked, stream: true })) {
  if (event.type === "response.output_text.delta") text += event.delta;
  last = event;
}
assert.equal(text, response.output_text);
assert.equal(last.type, "response.completed");
const final = await client.responses.stream(asked).finalResponse();
assert.equal(final.output_text, response.output_text);

await assert.rejects(client.chat.completions.create({ ...question, model: "gpt-x" }), OpenAI.NotFoundError);
console.log("ok");
