"""Trains NANN's TESTING setting on ml-100k, and may kill itself after some steps.

Arguments: the data home, the output folder, then the step whose losses are the last
that are read; 0 trains to the end.
"""

import dataclasses
import pathlib
import sys

import tensorflow as tf

from experiments.nann import problem as problem_lib
from experiments.nann.settings import TESTING
from experiments.nann.train import train
from tests.training.resume_run import count_calls
from tfrec.training import configure
from tfrec.training.progress import Progress

SETTING = dataclasses.replace(
    TESTING,
    training=dataclasses.replace(
        TESTING.training, checkpoint_every_steps=4, log_every_steps=1
    ),
)


def main(data_home: str, output_dir: str, kill_at: str) -> None:
    """Trains, compiled as the experiment does it, and prints the steps it ran."""
    steps = count_calls(Progress, "advance", int(kill_at))
    configure(SETTING.training)
    problem = problem_lib.load(SETTING, SETTING.training.seed, data_home)
    strategy = tf.distribute.get_strategy()
    train(problem, SETTING.training, pathlib.Path(output_dir), strategy, True)
    print(len(steps))


if __name__ == "__main__":
    main(*sys.argv[1:])
