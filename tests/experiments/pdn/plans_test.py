"""Which runs and trials the sweep and the tuning plan."""

import collections

import pytest

from experiments.pdn import plans, settings


def test_ml_1m_has_every_model_in_the_seeds_that_the_tables_need():
    seeds = collections.defaultdict(list)
    for dataset, model, seed in plans.runs_of("ml-1m"):
        assert dataset == "ml-1m"
        seeds[model].append(seed)
    assert set(seeds) == set(settings.MODELS)
    for model, found in seeds.items():
        expected = 2
        if model in settings.FIVE_SEEDS:
            expected = 5
        elif model in settings.CLOSED_FORM:
            expected = 1  # no seed changes them
        assert found == list(range(expected)), model


def test_amazon_has_every_baseline_on_both_sets():
    runs = plans.runs_of("amazon")
    models = {"pdn", "pdn-vector", *settings.NEURAL, *settings.CLOSED_FORM}
    for dataset in ("amazon-sports", "amazon-beauty"):
        assert sorted(m for d, m, _ in runs if d == dataset) == sorted(models)
    assert {seed for _, _, seed in runs} == {0}


@pytest.mark.parametrize("model", sorted(plans.GRIDS))
def test_a_grid_has_eight_settings_of_an_eighth_of_a_run(model):
    setting = settings.setting_for("ml-1m", model, 0)
    trials = list(plans.trials(setting, plans.GRIDS[model], None))
    assert len(trials) == 8
    assert len({str(changes) for changes, _ in trials}) == 8
    whole = setting.training.epochs * setting.examples_per_epoch
    for changes, changed in trials:
        assert changed.training.epochs == 1
        assert changed.examples_per_epoch == whole // 8
        for name, value in changes.items():
            holder = changed.training if name == "learning_rate" else changed.network
            assert getattr(holder, name) == value


def test_a_second_round_of_rates_has_the_length_that_is_asked_for():
    setting = settings.setting_for("ml-1m", "din", 0)
    trials = list(plans.trials(setting, {"learning_rate": [3e-3, 1e-2]}, 12))
    assert [changes for changes, _ in trials] == [
        {"learning_rate": 3e-3},
        {"learning_rate": 1e-2},
    ]
    assert trials[0][1] == setting
    assert trials[1][1].training.learning_rate == 1e-2
    assert trials[1][1].training.epochs == 12
