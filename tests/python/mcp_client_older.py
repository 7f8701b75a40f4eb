"""A client of /mcp by the official SDK of the older line (1.x), which knows revisions with sessions only and cancels nothing.
Prints what it saw as one JSON line."""

import json
import sys

import anyio
from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client


async def main(url, key):
    headers = {"Authorization": f"Bearer {key}"}
    async with streamablehttp_client(url, headers=headers) as (reader, writer, session_id):
        async with ClientSession(reader, writer) as session:
            begun = await session.initialize()
            found = await session.call_tool("look", {"q": "x"})
            missing = await session.call_tool("find", {})
            report = {
                "version": begun.protocolVersion,
                "server": begun.serverInfo.name,
                "has_session": session_id() is not None,
                "tools": {tool.name: tool.annotations.readOnlyHint for tool in (await session.list_tools()).tools},
                "found": [found.structuredContent, found.isError, found.meta["holdfast/outcome"]],
                "missing": [missing.structuredContent, missing.isError, missing.meta["holdfast/outcome"]],
                "refused": await refusal(session, "look", {"q": 5}),
            }
            print(json.dumps(report))


async def refusal(session, tool, arguments):
    try:
        await session.call_tool(tool, arguments)
    except McpError as error:
        return [error.error.code, error.error.data.get("field")]
    return "accepted"


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
