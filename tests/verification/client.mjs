// The official Node client against the running server: node client.mjs BASE_URL KEY
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 30000 });
const messages = [{ role: "user", content: "I want an article about green tea" }];

const checks = {
  async "whole answer"() {
    const { data, response } = await client.chat.completions.create({ model: "scripted", messages }).withResponse();
    assert.match(data.choices[0].message.content, /^# Green tea/);
    assert.match(response.headers.get("x-deepspace-cost"), /^\d+\.\d{10}$/);
    assert.ok(data._request_id);
  },
  async "stream without a chunk that has no choices"() {
    let text = "";
    for await (const chunk of await client.chat.completions.create({ model: "scripted", messages, stream: true })) {
      assert.equal(chunk.choices.length, 1);
      text += chunk.choices[0].delta.content ?? "";
    }
    assert.match(text, /^# Green tea/);
  },
  async "usage with its cost at the end"() {
    const options = { model: "scripted", messages, stream: true, stream_options: { include_usage: true } };
    let last;
    for await (const chunk of await client.chat.completions.create(options)) last = chunk;
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.completion_tokens > 0);
    assert.match(last.deepspace.cost, /^\d+\.\d{10}$/);
  },
  async "tool calls put together"() {
    const runner = client.chat.completions.stream({ model: "scripted--tools", messages });
    const message = await runner.finalMessage();
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { query: "tea" });
  },
  async "failure in mid-stream"() {
    const stream = await client.chat.completions.create({ model: "scripted--error", messages, stream: true });
    await assert.rejects(async () => {
      for await (const chunk of stream) assert.ok(chunk.choices);
    }, OpenAI.APIError);
  },
  async "leaving a stream"() {
    const stream = await client.chat.completions.create({ model: "scripted--slow=60", messages, stream: true });
    for await (const chunk of stream) {
      assert.ok(chunk);
      break;
    }
  },
  async "embeddings in base64"() {
    const packed = await client.embeddings.create({ model: "tiny-embedding", input: "tea" });
    const plain = await client.embeddings.create({ model: "tiny-embedding", input: "tea", encoding_format: "float" });
    assert.deepEqual([...packed.data[0].embedding], [...plain.data[0].embedding]);
  },
  async "response streamed"() {
    const kinds = [];
    const input = "I want an article about green tea";
    for await (const event of await client.responses.create({ model: "scripted", input, stream: true })) {
      assert.equal(event.sequence_number, kinds.length);
      kinds.push(event.type);
    }
    assert.equal(kinds.at(-1), "response.completed");
  },
  async "list of models"() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes("scripted"));
  },
  async "errors of its own classes"() {
    const ask = (other, fields) => other.chat.completions.create({ model: "scripted", messages, ...fields });
    await assert.rejects(ask(new OpenAI({ baseURL, apiKey: "wrong" }), {}), OpenAI.AuthenticationError);
    await assert.rejects(ask(client, { model: "no-such-model" }), OpenAI.NotFoundError);
    await assert.rejects(ask(client, { messages: [] }), OpenAI.BadRequestError);
    await assert.rejects(ask(client, { model: "scripted--500" }), OpenAI.InternalServerError);
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
  } catch (error) {
    console.error(`${name}: ${error.stack}`);
    process.exitCode = 1;
  }
}
console.log(`${Object.keys(checks).length} checks`);
