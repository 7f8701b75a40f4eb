"""A caller in Python: submits an invocation, watches it to its end, and gets it. Prints what it saw as one JSON line."""

import json
import sys

import grpc

from holdfast.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from holdfast.queue.v1 import invocation_pb2


def main(address, agent, text):
    with grpc.insecure_channel(address) as channel:
        gateway = gateway_pb2_grpc.InvocationServiceStub(channel)
        payload = invocation_pb2.Payload(data=json.dumps({"text": text}).encode())
        spec = invocation_pb2.InvocationSpec(agent=agent, payload=payload, idempotency_key=f"python-{text}")
        accepted = gateway.SubmitInvocation(gateway_pb2.SubmitInvocationRequest(spec=spec), timeout=10)
        repeat = gateway.SubmitInvocation(gateway_pb2.SubmitInvocationRequest(spec=spec), timeout=10)
        events = list(watch(gateway, accepted.invocation_id))
        request = gateway_pb2.GetInvocationRequest(invocation_id=accepted.invocation_id)
        invocation = gateway.GetInvocation(request, timeout=10).invocation
        report = {
            "invocation_id": accepted.invocation_id,
            "created": [accepted.created, repeat.created],
            "same_id": accepted.invocation_id == repeat.invocation_id,
            "states": [state_name(e.state_changed.state) for e in events if e.HasField("state_changed")],
            "progress": [e.progress.message for e in events if e.HasField("progress")],
            "offsets": [e.offset for e in events],
            "state": state_name(invocation.state),
            "usage": [invocation.usage.input_tokens, invocation.usage.output_tokens],
            "result": json.loads(invocation.result.data),
            "unknown_agent": refusal(gateway),
        }
        print(json.dumps(report))


def watch(gateway, invocation_id):
    request = gateway_pb2.WatchInvocationRequest(invocation_id=invocation_id)
    for response in gateway.WatchInvocation(request, timeout=20):
        yield response.event


def state_name(state):
    return invocation_pb2.InvocationState.Name(state).removeprefix("INVOCATION_STATE_")


def refusal(gateway):
    payload = invocation_pb2.Payload(data=b"{}")
    spec = invocation_pb2.InvocationSpec(agent="nobody-knows-this-agent", payload=payload)
    try:
        gateway.SubmitInvocation(gateway_pb2.SubmitInvocationRequest(spec=spec), timeout=10)
    except grpc.RpcError as error:
        return [error.code().name, "extra_agents" in error.details()]
    return "accepted"


if __name__ == "__main__":
    main(*sys.argv[1:])
