"""An MCP server of the older revisions over standard input and output, for tests: what its tools do is in `call`."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

TOOLS = ["pid", "env", "die", "hang", "cancelled", "spawn", "shout"]
cancelled = []
stopped = threading.Event()
writing = threading.Lock()


def send(message):
    with writing:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def call(name, arguments):
    if name == "pid":
        return os.getpid()
    if name == "env":
        return dict(os.environ)
    if name == "die":
        os._exit(3)
    if name == "hang":
        stopped.wait()
    if name == "cancelled":
        return cancelled
    if name == "spawn":
        return subprocess.Popen(["sleep", "1000"]).pid
    if name == "shout":
        print("x" * 100, file=sys.stderr, flush=True)
    return arguments


def answer(message):
    method, params = message["method"], message.get("params") or {}
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {"listChanged": False}},
            "serverInfo": {"name": "program", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    if method == "tools/call":
        value = call(params["name"], params.get("arguments"))
        return {"content": [], "structuredContent": {"value": value}}
    return None


def serve(message):
    result = answer(message)
    if result is None:
        send({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})
    else:
        send({"id": message["id"], "result": result})


if "held" in sys.argv:
    hold = sys.argv[-1]
    while os.path.exists(hold):
        open(hold + ".seen", "w").close()
        time.sleep(0.01)

if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "notifications/cancelled":
        cancelled.append(message["params"]["requestId"])
    elif "id" in message:
        threading.Thread(target=serve, args=(message,), daemon=True).start()

if "deaf" in sys.argv:
    stopped.wait()
