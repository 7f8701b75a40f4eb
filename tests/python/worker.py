"""A worker in Python: leases invocations of one agent type over the Work stream and completes each with its text in upper
case. Given a model, it has that repeat the text first, over OpenAI's API of the gateway, for the invocation that it holds.
Ends after as many as it is told. Prints a line when its stream is open."""

import json
import queue
import sys
import threading
import urllib.request

import grpc

from holdfast.queue.v1 import invocation_pb2, queue_pb2, queue_pb2_grpc


def main(address, agent, count, model=None):
    with grpc.insecure_channel(address) as channel:
        stub = queue_pb2_grpc.QueueServiceStub(channel)
        upward = queue.Queue()
        hello = queue_pb2.WorkRequest.Hello(worker="python-worker", agents=[agent], credits=1)
        upward.put(queue_pb2.WorkRequest(hello=hello))
        held = set()
        left = int(count)
        for message in stub.Work(iter(upward.get, None)):
            kind = message.WhichOneof("message")
            if kind == "welcome":
                interval = message.welcome.heartbeat_interval.ToTimedelta().total_seconds()
                beat(upward, held, interval)
                print("ready", flush=True)
            elif kind == "leases":
                for lease in message.leases.leases:
                    held.add(lease.token)
                    work(upward, lease, address, model)
            elif kind == "settled" and message.settled.token in held and completed(message.settled):
                held.discard(message.settled.token)
                left -= 1
                if left == 0:
                    break
                upward.put(queue_pb2.WorkRequest(credits=queue_pb2.WorkRequest.Credits(credits=1)))
        upward.put(None)


# What the queue settles: first the progress report of a lease, then its completion.
reported = set()


def completed(settled):
    if settled.status:
        sys.exit(f"the queue refused: {settled.status!r}")
    if settled.token in reported:
        return True
    reported.add(settled.token)
    return False


def work(upward, lease, address, model):
    text = json.loads(lease.invocation.spec.payload.data)["text"]
    # All that was used for the invocation goes into its record with its end: nobody else tells the queue.
    usage = invocation_pb2.Usage()
    if model:
        text = ask(address, model, text, lease.token, usage)
    progress = queue_pb2.ReportProgressRequest(
        token=lease.token, progress=invocation_pb2.InvocationEvent.Progress(message="shouting", fraction=0.5)
    )
    upward.put(queue_pb2.WorkRequest(progress=progress))
    result = invocation_pb2.Payload(data=json.dumps({"text": text.upper()}).encode())
    complete = queue_pb2.CompleteRequest(token=lease.token, result=result, usage=usage)
    upward.put(queue_pb2.WorkRequest(complete=complete))


def ask(address, model, text, token, usage):
    # The lease says for which invocation this is: its budget, and its agent's tokens.
    headers = {"content-type": "application/json", "authorization": "Bearer any", "holdfast-lease": token}
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    url = f"http://{address}/v1/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    usage.input_tokens += answer["usage"]["prompt_tokens"]
    usage.output_tokens += answer["usage"]["completion_tokens"]
    return answer["choices"][0]["message"]["content"]


def beat(upward, held, interval):
    def again():
        if held:
            upward.put(queue_pb2.WorkRequest(heartbeat=queue_pb2.HeartbeatRequest(tokens=list(held))))
        beat(upward, held, interval)

    timer = threading.Timer(interval, again)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
