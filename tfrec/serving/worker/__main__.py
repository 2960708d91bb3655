"""`python -m tfrec.serving.worker`: the process of one version of a model.

It loads the version, says on standard output whether it can answer, as a line of JSON,
and answers the PredictionService's methods on a Unix socket, in the frames that
`tfrec/serving/link.py` describes:

    {"state": "ready", "threads": 16}
    {"state": "failed", "code": "NOT_FOUND", "message": "..."}

`threads` is how many requests may be sent at the same time. After SIGTERM the process
finishes the requests in flight and exits with 0. When its standard input ends, its
parent is gone, and it exits at once. All other output is on standard error.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from absl import app, flags

from tfrec.serving import batching_parameters, link, worker
from tfrec.serving.errors import ServingError
from tfrec.serving.servable import Servable, ServableOptions

_SECONDS_TO_FINISH = 3600.0  # the parent ends a worker that it does not wait for

_MODEL_NAME = flags.DEFINE_string("model_name", None, "For answers.", required=True)
_VERSION = flags.DEFINE_integer("version", None, "For answers.", required=True)
_PATH = flags.DEFINE_string("path", None, "Folder of the version.", required=True)
_SOCKET = flags.DEFINE_string(
    "socket", None, "Path of the Unix socket to serve on.", required=True
)
_BATCHING_PARAMETERS_FILE = flags.DEFINE_string(
    "batching_parameters_file",
    None,
    "BatchingParameters in text format; requests are merged only if it is given.",
)
_INTRA_OP = flags.DEFINE_integer(
    "tensorflow_intra_op_parallelism", 0, "Threads within an op; 0: one a core."
)
_INTER_OP = flags.DEFINE_integer(
    "tensorflow_inter_op_parallelism", 0, "Ops at the same time; 0: one a core."
)
_ALLOW_ALL_OPS = flags.DEFINE_bool(
    "allow_all_ops", False, "Load the model whatever files its ops read or write."
)
_AS_TENSOR_CONTENT = flags.DEFINE_bool(
    "enable_serialization_as_tensor_content",
    False,
    "Numbers of Predict's outputs in `tensor_content`, not in `float_val` and so on.",
)
_NUM_THREADS = flags.DEFINE_integer(
    "num_threads", None, "Requests at the same time; by default 4 a core, at least 16."
)


def main(arguments: Sequence[str]) -> None:
    """Serves until it is told to end; returns by ending the process."""
    del arguments
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all children
    reports = _own_stdout()
    try:
        server, threads = _start()
    except ServingError as error:
        _report(reports, state="failed", code=error.code.name, message=error.message)
        _exit(1)
    asked_to_end = _sigterm()
    _report(reports, state="ready", threads=threads)
    os.read(asked_to_end, 1)
    server.stop(_SECONDS_TO_FINISH)
    _exit(0)


def _start() -> tuple[link.Server, int]:
    """A server of the version, and how many requests it should be given."""
    parameters = None
    largest_batch = 0
    if _BATCHING_PARAMETERS_FILE.value:
        parameters = batching_parameters.read(_BATCHING_PARAMETERS_FILE.value)
        largest_batch = parameters.max_batch_size
    options = ServableOptions(
        intra_op_parallelism=_INTRA_OP.value,
        inter_op_parallelism=_INTER_OP.value,
        allow_all_ops=_ALLOW_ALL_OPS.value,
        as_tensor_content=_AS_TENSOR_CONTENT.value,
        batching=parameters,
    )
    servable = Servable(_PATH.value, _MODEL_NAME.value, _VERSION.value, options)
    threads = _NUM_THREADS.value or worker.default_threads(largest_batch)
    return worker.start(servable, _SOCKET.value), threads


def _sigterm() -> int:
    """A pipe that can be read after SIGTERM.

    A handler that sets a `threading.Event` could wait for ever: it runs in the thread
    that may hold the event's lock.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGTERM, lambda *_: None)
    return reading


def _own_stdout() -> TextIO:
    """Keeps standard output for reports: what a model prints goes to standard error."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return reports


def _report(reports: TextIO, **content: str | int) -> None:
    reports.write(json.dumps(content) + "\n")
    reports.flush()


def _exit_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def _exit(status: int) -> None:
    """Ends the process without TensorFlow's destructors, which may wait or fail."""
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    app.run(main)
