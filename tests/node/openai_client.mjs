// A client of /v1 by the official SDK: models, answers whole and as streams, tools, output by a schema, errors by their
// classes, its own retries, a stream that breaks, one that is given up. Prints what it saw as one JSON line.

import { createRequire } from "node:module";

const { OpenAI, APIError } = createRequire(`${process.env.HOLDFAST_TEST_NODE}/package.json`)("openai");

const [url, worker, caller] = process.argv.slice(2);

const statuses = [];
const fetch = async (...request) => {
  const response = await globalThis.fetch(...request);
  statuses.push(response.status);
  return response;
};
const client = new OpenAI({ baseURL: url, apiKey: worker, fetch });
const unretried = client.withOptions({ maxRetries: 0 });

const tools = [
  { type: "function", function: { name: "look", parameters: { type: "object", properties: { q: { type: "string" } } } } },
];
const said = (content) => [{ role: "user", content }];
const say = (client, model, content = "hello") => client.chat.completions.create({ model, messages: said(content) });

async function answers(model) {
  const messages = said("tell me everything");
  const { data: whole, response, request_id } = await client.chat.completions.create({ model, messages }).withResponse();
  const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  const usage = chunks.at(-1).usage;
  return {
    deployment: response.headers.get("holdfast-deployment"),
    named: request_id.length,
    same: text === whole.choices[0].message.content && text.length > 0,
    pieces: chunks.length > 3,
    usage: usage.total_tokens === whole.usage.total_tokens && usage.total_tokens > 0,
    tools: [await round(model, once), await round(model, streamed)],
  };
}

const once = async (request) => (await client.chat.completions.create(request)).choices[0];
const streamed = async (request) => (await client.chat.completions.stream(request).finalChatCompletion()).choices[0];

async function round(model, ask) {
  const messages = said("script:desk");
  const first = await ask({ model, messages, tools });
  const [call] = first.message.tool_calls;
  const found = JSON.parse(call.function.arguments).q.toUpperCase();
  const spoken = {
    role: "assistant",
    content: first.message.content,
    tool_calls: [{ id: call.id, type: "function", function: { name: call.function.name, arguments: call.function.arguments } }],
  };
  const result = { role: "tool", tool_call_id: call.id, content: JSON.stringify({ found }) };
  const last = await once({ model, messages: [...messages, spoken, result], tools });
  return [first.finish_reason, call.function.name, found, last.finish_reason, last.message.content];
}

async function schema() {
  const person = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" } },
    required: ["name", "age"],
    additionalProperties: false,
  };
  const response_format = { type: "json_schema", json_schema: { name: "Person", strict: true, schema: person } };
  const parsed = await client.chat.completions.parse({ model: "schema", messages: said("script:person"), response_format });
  const { name, age } = parsed.choices[0].message.parsed;
  return [name, age];
}

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    const again = error.headers.has("retry-after") && error.headers.get("x-should-retry") === "true";
    return [error.constructor.name, error.status, error.code, error.param, again];
  }
  return "accepted";
}

// A call when the limit is used up, and nobody wants to wait in line for it; how often it was retried.
async function hurried(client) {
  await say(client, "limited");
  const before = statuses.length;
  const headers = { "holdfast-timeout": "0.3" };
  await client.chat.completions.create({ model: "limited", messages: said("hello") }, { headers });
  return statuses.slice(before).filter((status) => status === 429).length;
}

async function broken() {
  let text = "";
  try {
    const messages = said("tell me everything");
    for await (const chunk of await client.chat.completions.create({ model: "broken", messages, stream: true })) {
      text += chunk.choices[0].delta.content ?? "";
    }
  } catch (error) {
    return [error.constructor.name, error.code, text.length > 0];
  }
  return "whole";
}

async function givenUp() {
  const controller = new AbortController();
  const request = { model: "slow", messages: said("output_tokens:100000"), stream: true };
  const stream = await client.chat.completions.create(request, { signal: controller.signal });
  for await (const chunk of stream) {
    controller.abort();
    return chunk.object;
  }
}

const ids = [];
for await (const model of client.models.list()) ids.push(model.id);
const report = {
  models: ids.sort(),
  one: (await client.models.retrieve("default")).id,
  answers: { default: await answers("default"), claude: await answers("claude") },
  schema: await schema(),
  refused: {
    key: await refusal(() => new OpenAI({ baseURL: url, apiKey: "wrong-key-0123456789" }).models.list()),
    role: await refusal(() => say(new OpenAI({ baseURL: url, apiKey: caller }), "default")),
    model: await refusal(() => say(client, "no-such-model")),
    field: await refusal(() => client.chat.completions.create({ model: "default", messages: [] })),
    gone: await refusal(() => say(unretried, "gone")),
    limit: await refusal(() => hurried(unretried)),
  },
  retries: await hurried(client),
  broken: await broken(),
  given_up: await givenUp(),
};
console.log(JSON.stringify(report));
