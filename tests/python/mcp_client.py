"""A client of /mcp by the official SDK (2.x), of either era: lists, calls, fails, and cancels a call when it is told to by a
line on its standard input. Prints what it saw as one JSON line."""

import json
import sys

import anyio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError


async def main(url, key, mode):
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {key}"}) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            found = await client.call_tool("look", {"q": "x"}, meta={"holdfast/idempotencyKey": "python"})
            missing = await client.call_tool("find", {})
            report = {
                "version": client.protocol_version,
                "server": client.server_info.name if client.server_info else None,
                "tools": await tools(client),
                "found": [found.structured_content, found.is_error, found.meta["holdfast/outcome"]],
                "missing": [missing.structured_content, missing.is_error, missing.meta["holdfast/outcome"]],
                "refused": await refusal(client, "look", {"q": 5}),
                "unknown": await refusal(client, "no-such-tool", {}),
                "cancelled": await cancelled(client),
            }
            print(json.dumps(report), flush=True)
            # What was cancelled ends before the connection does.
            await anyio.to_thread.run_sync(sys.stdin.readline)


async def tools(client):
    found, cursor = {}, None
    while True:
        page = await client.list_tools(cursor=cursor)
        found |= {tool.name: tool.annotations.read_only_hint for tool in page.tools}
        cursor = page.next_cursor
        if cursor is None:
            return found


async def refusal(client, tool, arguments):
    try:
        await client.call_tool(tool, arguments)
    except MCPError as error:
        return [error.code, error.data.get("field")]
    return "accepted"


async def cancelled(client):
    async with anyio.create_task_group() as tasks:

        async def call():
            await client.call_tool("hang", {})

        tasks.start_soon(call)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        tasks.cancel_scope.cancel()
    return tasks.cancel_scope.cancelled_caught


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
