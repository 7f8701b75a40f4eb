"""A worker in Python: leases invocations of one agent type over the Work stream and completes each with its text in upper
case. Ends after as many as it is told. Prints a line when its stream is open."""

import json
import queue
import sys
import threading

import grpc

from holdfast.queue.v1 import invocation_pb2, queue_pb2, queue_pb2_grpc


def main(address, agent, count):
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
                    work(upward, lease)
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


def work(upward, lease):
    text = json.loads(lease.invocation.spec.payload.data)["text"]
    progress = queue_pb2.ReportProgressRequest(
        token=lease.token, progress=invocation_pb2.InvocationEvent.Progress(message="shouting", fraction=0.5)
    )
    upward.put(queue_pb2.WorkRequest(progress=progress))
    result = invocation_pb2.Payload(data=json.dumps({"text": text.upper()}).encode())
    upward.put(queue_pb2.WorkRequest(complete=queue_pb2.CompleteRequest(token=lease.token, result=result)))


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
