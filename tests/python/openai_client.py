"""A client of /v1 by the official SDK: models, answers whole and as streams, tools, output by a schema, errors by their classes,
its own retries, a stream that breaks, one that is given up. Prints what it saw as one JSON line."""

import json
import sys

import openai
from openai import OpenAI
from pydantic import BaseModel

TOOLS = [
    {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
    }
]
# Who is never retried here, and who would wait longer than this.
HURRIED = {"holdfast-timeout": "0.3"}


class Person(BaseModel):
    name: str
    age: int


def main(url, worker, caller):
    client = OpenAI(base_url=url, api_key=worker)
    report = {
        "models": sorted(model.id for model in client.models.list()),
        "one": client.models.retrieve("default").id,
        "answers": {model: answers(client, model) for model in ("default", "claude")},
        "schema": schema(client),
        "refused": {
            "key": refusal(lambda: OpenAI(base_url=url, api_key="wrong-key-0123456789").models.list()),
            "role": refusal(lambda: say(OpenAI(base_url=url, api_key=caller), "default")),
            "model": refusal(lambda: say(client, "no-such-model")),
            "field": refusal(lambda: client.chat.completions.create(model="default", messages=[])),
            "gone": refusal(lambda: say(client.with_options(max_retries=0), "gone")),
            "limit": refusal(lambda: hurried(client.with_options(max_retries=0))),
        },
        "retries": hurried(client),
        "broken": broken(client),
        "given_up": given_up(client),
    }
    print(json.dumps(report))


def said(text):
    return [{"role": "user", "content": text}]


def say(client, model, text="hello"):
    return client.chat.completions.create(model=model, messages=said(text))


def answers(client, model):
    raw = client.chat.completions.with_raw_response.create(model=model, messages=said("tell me everything"))
    whole = raw.parse()
    stream = client.chat.completions.create(
        model=model, messages=said("tell me everything"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return {
        "deployment": raw.headers["holdfast-deployment"],
        "named": len(whole._request_id),
        "same": text == whole.choices[0].message.content and len(text) > 0,
        "pieces": len(chunks) > 3,
        "usage": chunks[-1].usage.total_tokens == whole.usage.total_tokens > 0,
        "tools": [tools(client, model), streamed_tools(client, model)],
    }


def tools(client, model):
    messages = said("script:desk")
    first = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0]
    return round_of(client, model, messages, first)


def streamed_tools(client, model):
    messages = said("script:desk")
    with client.chat.completions.stream(model=model, messages=messages, tools=TOOLS) as stream:
        for _ in stream:
            pass
        first = stream.get_final_completion().choices[0]
    return round_of(client, model, messages, first)


def round_of(client, model, messages, first):
    call = first.message.tool_calls[0]
    found = json.loads(call.function.arguments)["q"].upper()
    spoken = {"role": "assistant", "content": first.message.content, "tool_calls": [of_call(call)]}
    result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"found": found})}
    last = client.chat.completions.create(model=model, messages=messages + [spoken, result], tools=TOOLS).choices[0]
    return [first.finish_reason, call.function.name, found, last.finish_reason, last.message.content]


def of_call(call):
    return {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}


def schema(client):
    parsed = client.chat.completions.parse(model="schema", messages=said("script:person"), response_format=Person)
    person = parsed.choices[0].message.parsed
    return [person.name, person.age]


def refusal(call):
    try:
        call()
    except openai.APIStatusError as error:
        again = "retry-after" in error.response.headers and error.response.headers.get("x-should-retry") == "true"
        return [type(error).__name__, error.status_code, error.code, error.param, again]
    return "accepted"


def hurried(client):
    """A call when the limit is used up, and nobody wants to wait in line for it; how often it was retried."""
    say(client, "limited")
    create = client.chat.completions.with_raw_response.create
    return create(model="limited", messages=said("hello"), extra_headers=HURRIED).retries_taken


def broken(client):
    text = ""
    try:
        for chunk in client.chat.completions.create(model="broken", messages=said("tell me everything"), stream=True):
            text += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        return [type(error).__name__, error.code, len(text) > 0]
    return "whole"


def given_up(client):
    with client.chat.completions.create(model="slow", messages=said("output_tokens:100000"), stream=True) as stream:
        return next(iter(stream)).object


if __name__ == "__main__":
    main(*sys.argv[1:])
