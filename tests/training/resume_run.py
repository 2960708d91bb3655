"""Trains the toy task in a process of its own, which may kill itself on the way.

Arguments: the output folder, then nothing, or where SIGKILL strikes: `step <n>`, when
the losses of the n-th step are read, or `write <n>`, when the n-th file of variables is
on disk and its folder not yet in place.
"""

import json
import os
import signal
import sys

import numpy as np

from tests.training import toy
from tfrec import training
from tfrec.training.progress import Progress

CONFIG = training.TrainingConfig(
    optimizer="adamw",
    learning_rate=0.01,
    weight_decay=0.1,
    epochs=3,
    monitor="accuracy",
    seed=3,
    checkpoint_every_steps=4,
    log_every_steps=1,
)


def count_calls(owner, name: str, kill_at: int = 0) -> list[int]:
    """Notes each call of `owner.name`; kills the process at the end of one of them."""
    original, calls = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        result = original(*args, **kwargs)
        calls.append(1)
        if len(calls) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)
    return calls


def main(output_dir: str, where: str = "", number: str = "0") -> None:
    """Trains to the end, or to the point where the process is killed."""
    steps = count_calls(Progress, "advance", int(number) if where == "step" else 0)
    count_calls(np, "savez", int(number) if where == "write" else 0)
    training.configure(CONFIG)
    task = toy.ToyTask(dropout=0.3)
    result = training.fit(task, toy.make_dataset, CONFIG, output_dir)
    weights = {str(i): v.numpy() for i, v in enumerate(task.model.variables)}
    np.savez(f"{output_dir}/final.npz", **weights)
    epochs = [(record["losses"], record["metrics"]) for record in result.history]
    print(json.dumps({"steps": len(steps), "epochs": epochs}))


if __name__ == "__main__":
    main(*sys.argv[1:])
