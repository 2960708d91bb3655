"""Small data sets, written and read like real ones."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tfrec.data import prepared

META = {"name": "small", "time_kind": "unix", "terms": "none", "source": "made up"}


@pytest.fixture
def write(tmp_path) -> Callable:
    """A function: interactions (lists by column) and tables -> a prepared set."""

    def write_small(interactions, **tables):
        kinds = {"user": np.int32, "item": np.int32, "order": np.int32}
        kinds |= {"timestamp": np.int64, "rating": np.float32, "category": np.int32}

        def typed(columns):
            return {
                name: np.asarray(values, kinds[name])
                if name in kinds and not isinstance(values, pa.Array)
                else values
                for name, values in columns.items()
            }

        tables = {"interactions": interactions, **tables}
        tables = {name: typed(columns) for name, columns in tables.items()}
        prepared.write(tmp_path / "small", META, tables, overwrite=True)
        return prepared.read(tmp_path / "small")

    return write_small


@pytest.fixture
def random_set(write) -> Callable:
    """A function: seed, and what the rows have -> a random small set.

    Some users have no row; items come back in sets with time.
    """

    def make(seed, time="timestamp", num_users=40, num_items=25, **columns):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, 13, num_users)
        lengths[-1] = 5
        user = np.repeat(np.arange(1, num_users + 1), lengths)
        rows = {"user": user}
        if time is None:
            draws = [rng.permutation(num_items)[:n] + 1 for n in lengths]
            rows["item"] = np.concatenate(draws)
        else:
            rows["item"] = rng.integers(1, num_items + 1, user.size)
            steps = rng.integers(0 if time == "timestamp" else 1, 3, user.size)
            rows[time] = np.cumsum(steps)
        rows["item"][-1] = num_items
        for name, values in columns.items():
            rows[name] = values(rng, user.size)
        keys = np.stack([rows[k] for k in ("user", "item", time) if k], -1)
        first = np.sort(np.unique(keys, axis=0, return_index=True)[1])
        rows = {name: values[first] for name, values in rows.items()}
        ids = np.arange(1, num_items + 1)
        items = {"item": ids, "category": rng.integers(1, 5, num_items)}
        users = {"user": np.arange(1, num_users + 1, dtype=np.int32)}
        return write(rows, items=items, users=users)

    return make
