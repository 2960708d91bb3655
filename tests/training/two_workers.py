"""Runs a task's first steps in one process, or as several workers on loopback.

Any task can be compared: its factory is named as `module:function` and returns
`(task, make_dataset, config)`; it calls `training.configure(config)` before it builds
the model. `losses_of` runs this file in new processes and returns what they print.
"""

import dataclasses
import importlib
import json
import os
import pathlib
import socket
import subprocess
import sys
from concurrent import futures

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS_ALLOWED = 900


def losses_of(
    factory: str, num_workers: int, num_steps: int, output_dir: pathlib.Path
) -> list[dict[str, float]]:
    """Losses by name of each of the first steps, which all workers must agree on."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(num_workers)]
    command = [sys.executable, __file__, factory, str(num_steps), str(output_dir)]
    processes = []
    for index in range(num_workers):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": ""}
        if num_workers > 1:
            task = {"type": "worker", "index": index}
            config = {"cluster": {"worker": addresses}, "task": task}
            environment["TF_CONFIG"] = json.dumps(config)
        processes.append(
            subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def communicate(process: subprocess.Popen) -> tuple[str, str]:
        return process.communicate(timeout=SECONDS_ALLOWED)

    try:
        # All at once: a worker whose pipe is full would stop, and the others with it.
        with futures.ThreadPoolExecutor(num_workers) as pool:
            outputs = list(pool.map(communicate, processes))
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(f"A worker failed:\n{errors[-4000:]}")
    losses = [json.loads(printed.splitlines()[-1]) for printed, _ in outputs]
    if any(other != losses[0] for other in losses):
        raise RuntimeError(f"The workers must agree. Received: {losses}")
    return losses[0]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


class WithoutValidation:
    """The task's steps alone."""

    def __init__(self, task) -> None:
        self.model = task.model
        self.step = task.step

    def validate(self) -> dict[str, float]:
        return {}


def main(factory: str, num_steps: str, output_dir: str) -> None:
    """Trains one step an epoch, so that the history has each step's losses."""
    from tfrec import training

    module, function = factory.split(":")
    strategy = training.strategy()
    with strategy.scope():
        task, make_dataset, config = getattr(
            importlib.import_module(module), function
        )()
    config = dataclasses.replace(
        config,
        epochs=int(num_steps),
        steps_per_epoch=1,
        patience=None,
        monitor=None,
        tensorboard=False,
    )
    result = training.fit(
        WithoutValidation(task),
        lambda epoch: make_dataset(0).skip(epoch),
        config,
        output_dir,
    )
    print(json.dumps([record["losses"] for record in result.history]))


if __name__ == "__main__":
    main(*sys.argv[1:])
