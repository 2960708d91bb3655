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

from tfrec.serving import link

_DEADLINE_SECONDS = 30.0
_THREADS = 8
_OK, _OUT_OF_RANGE = 0, 11  # of gRPC


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


def answering(flags: dict, folder: pathlib.Path, plan: dict) -> link.Handler:
    def answer(method: str, payload: bytearray) -> tuple[int, bytes]:
        if plan.get("die"):
            os._exit(7)
        if plan.get("wait"):
            (folder / "waits").touch()
            until((folder / "go").exists)
        if payload.endswith(b"fail"):
            return _OUT_OF_RANGE, b"x" * 5000
        name, version = flags["model_name"], flags["version"]
        return _OK, f"{name}/{version}/{os.getpid()}/{method}/".encode() + payload

    return answer


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
    server = link.Server(flags["socket"], answering(flags, folder, plan))
    # An event that the handler sets may deadlock with the main thread, which runs it.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGTERM, lambda *_: None)
    report(state="ready", threads=_THREADS)
    os.read(reading, 1)
    server.stop(_DEADLINE_SECONDS)


if __name__ == "__main__":
    main()
