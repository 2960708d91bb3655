"""Configs: through JSON and back, to the same scores; what they refuse."""

import dataclasses
import json

import numpy as np
import pytest

from tests.baselines import problems

NAMES = tuple(problems.MODELS)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name, tmp_path):
    config, model = problems.CONFIGS[name], problems.model(name)
    text = json.dumps(dataclasses.asdict(config))
    again = type(config)(**json.loads(text))
    assert again == config
    model.save_weights(tmp_path / "model.weights.h5")
    restored = problems.MODELS[name](again, problems.SCHEMA)
    restored.load_weights(tmp_path / "model.weights.h5")
    features, items = problems.batch(), problems.candidates((5,))
    scores = [
        m.score(m.user_state(features), m.item_vectors(items)).numpy()
        for m in (model, restored)
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_make_a_model(name):
    config = type(problems.CONFIGS[name])()
    model = problems.MODELS[name](config, problems.SCHEMA)
    state = model.user_state(problems.batch())
    scores = model.score(state, model.item_vectors(problems.candidates((5,))))
    assert scores.shape == (problems.NUM_USERS, 5)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_at_least_1(name):
    for field in dataclasses.fields(problems.CONFIGS[name]):
        value = getattr(problems.CONFIGS[name], field.name)
        if not isinstance(value, float):
            wrong = (4, 0) if isinstance(value, tuple) else 0
            message = f"`{field.name}` must be at least 1. Received: "
            with pytest.raises(ValueError, match=message):
                dataclasses.replace(problems.CONFIGS[name], **{field.name: wrong})


@pytest.mark.parametrize("name", ["bst", "sasrec"])
@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_is_in_range(name, dropout):
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\)"):
        dataclasses.replace(problems.CONFIGS[name], dropout=dropout)
