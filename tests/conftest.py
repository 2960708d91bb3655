"""Fixtures that need data: ml-100k is made if absent, other sets are skipped."""

import os
import pathlib
from collections.abc import Callable

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True)
def _same_weights_each_run():
    """Initial weights and Keras' shuffles are the same in each run of a test."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def data_home() -> pathlib.Path:
    """The folder of prepared sets: `TFREC_DATA_HOME`, else the user's cache."""
    from tfrec.data import catalog

    return catalog.home()


@pytest.fixture(scope="session")
def ml_100k(data_home):
    """The real ml-100k; prepared once, from the package index if need be."""
    from tfrec import data

    return data.load("ml-100k", data_home)


@pytest.fixture(scope="session")
def require_dataset(data_home) -> Callable:
    """A function: name -> the prepared set, or a skip that names it."""
    from tfrec import data

    def require(name: str):
        if not (data_home / name / "meta.json").is_file():
            pytest.skip(f"{name} is not in {data_home}")
        return data.load(name, data_home)

    return require
