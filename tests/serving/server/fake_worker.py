"""A worker without TensorFlow: starts at once and does what its version's folder says.

`plan.json` in the folder holds some of:
    fail: message of a load that fails.
    hang: true: it is never ready.
    once: true: the load fails the first time only.
    wait: true: requests wait until the file `go` is in the folder.
    die: true: a request ends the process.
It answers any request with `<name>/<version>/<process id>/<method>/` and the request.
"""

import json
import os
import pathlib
import signal
import sys
import threading
import time
from concurrent import futures

import grpc

_DEADLINE_SECONDS = 30.0


def until(is_true) -> None:
    """Waits for a condition, for a limited time."""
    end = time.monotonic() + _DEADLINE_SECONDS
    while not is_true() and time.monotonic() < end:
        time.sleep(0.005)


def exit_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def report(**content) -> None:
    print(json.dumps(content), flush=True)


class Answers(grpc.GenericRpcHandler):
    """Answers every method of every service."""

    def __init__(self, flags: dict, folder: pathlib.Path, plan: dict):
        self.flags, self.folder, self.plan = flags, folder, plan

    def service(self, handler_call_details):
        method = handler_call_details.method.rpartition("/")[2]

        def answer(payload, context):
            if self.plan.get("die"):
                os._exit(7)
            if self.plan.get("wait"):
                (self.folder / "waits").touch()
                until((self.folder / "go").exists)
            if payload.endswith(b"fail"):
                context.abort(grpc.StatusCode.OUT_OF_RANGE, "x" * 5000)
            name, version = self.flags["model_name"], self.flags["version"]
            return f"{name}/{version}/{os.getpid()}/{method}/".encode() + payload

        return grpc.unary_unary_rpc_method_handler(answer)


def main() -> None:
    threading.Thread(target=exit_with_parent, daemon=True).start()
    flags = dict(flag[2:].split("=", 1) for flag in sys.argv[1:])
    folder = pathlib.Path(flags["path"])
    plan = json.loads((folder / "plan.json").read_text())
    with (folder / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    is_first = len((folder / "starts").read_text().split()) == 1
    if plan.get("hang"):
        threading.Event().wait()
    print("a line that is no report", flush=True)
    if "fail" in plan and (is_first or not plan.get("once")):
        report(state="failed", code="INVALID_ARGUMENT", message=plan["fail"])
        sys.exit(1)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([Answers(flags, folder, plan)])
    server.add_insecure_port(f"unix:{flags['socket']}")
    server.start()
    # An event that the handler sets may deadlock with the main thread, which runs it.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGTERM, lambda *_: None)
    report(state="ready")
    os.read(reading, 1)
    server.stop(_DEADLINE_SECONDS).wait()


if __name__ == "__main__":
    main()
