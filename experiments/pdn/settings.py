"""Named settings of PDN's experiments: one a data set and model, and one for tests."""

import dataclasses
from typing import Any

from tfrec.baselines import config as baselines
from tfrec.baselines import ease, item_cf, slim
from tfrec.pdn.config import PdnConfig
from tfrec.training import TrainingConfig

# The full model, the ablations of table 2 and section 4.7, and the vector form of 4.1.
PDN_VARIANTS: dict[str, dict[str, Any]] = {
    "pdn": {},
    "pdn-no-bias": {"bias_net": False},
    "pdn-no-direct": {"direct_units": ()},
    "pdn-product": {"merge": "product"},
    "pdn-unconstrained": {"merge": "unconstrained"},
    "pdn-vector": {
        "path_width": 16,
        "merge": "unconstrained",
        "embedding_size": 32,
    },
}
NEURAL: dict[str, Any] = {
    "dssm": baselines.DssmConfig(),
    "youtube_dnn": baselines.YoutubeDnnConfig(units=(64, 32)),
    "bst": baselines.BstConfig(dropout=0.0),
    "din": baselines.DinConfig(),
    "sasrec": baselines.SasRecConfig(embedding_size=100, dropout=0.1),
}
CLOSED_FORM: dict[str, Any] = {
    "popularity": None,
    "pcf": item_cf.ItemCfConfig(),
    "slim": slim.SlimConfig(),
    "ease": ease.EaseConfig(l2=1000.0),
}
# Of 204,800 examples.
EPOCHS = {
    "dssm": 20,
    "youtube_dnn": 10,
    "bst": 12,
    "din": 12,
    "sasrec": 4,
    "pdn-vector": 8,
}
AMAZON_EPOCHS = {"bst": 4, "din": 3, "pdn-vector": 3}  # they overfit sooner there
PDN_EPOCHS = 2
# Of PDN and its variants, and of the rest.
PDN_LEARNING_RATE, LEARNING_RATE = 1e-2, 3e-3
LEARNING_RATES = {"pdn-vector": 3e-3}
FIVE_SEEDS = ("pdn", "pdn-vector", "din", "sasrec")  # on ml-1m; others have two
MODELS = (*PDN_VARIANTS, *NEURAL, *CLOSED_FORM)


@dataclasses.dataclass(frozen=True)
class IndexSetting:
    """The index and the greedy retrieval through it (section 5).

    Args:
        k: items kept a trigger.
        k_hat: candidate pairs a trigger, an order of magnitude more (section 5.2).
        m: triggers of a request (section 5.1).
        top_k: K, results of a request.
    """

    k: int = 100
    k_hat: int = 1000
    m: int = 50
    top_k: int = 300


@dataclasses.dataclass(frozen=True)
class Setting:
    """Everything that decides the numbers of a run, but its seed.

    Args:
        dataset: name in `tfrec.data`.
        model: of `MODELS`.
        split: "ncf_leave_one_out" (the official test row) or "leave_one_out".
        validation_share: of the users, whose last other row chooses epoch and settings.
        user_fields: profile, besides the user's id.
        behaviour_fields: of a behaviour.
        context_fields: of the bias net.
        max_history: L, latest behaviours a model sees.
        batch_size: positives a step.
        num_negatives: a positive; He et al. 2017: 4.
        examples_per_epoch: validation follows each.
        network: the model's own config; popularity has none.
        training: optimiser and epochs.
        num_full_users: test users of the full ranking; None: all.
        index: of PDN.
    """

    dataset: str
    model: str
    split: str
    user_fields: tuple[str, ...]
    behaviour_fields: tuple[str, ...]
    context_fields: tuple[str, ...]
    network: Any
    training: TrainingConfig
    validation_share: float = 0.2
    max_history: int = 50
    batch_size: int = 512
    num_negatives: int = 4
    examples_per_epoch: int = 204_800
    num_full_users: int | None = None
    index: IndexSetting = IndexSetting()


_DATA: dict[str, dict[str, Any]] = {
    "ml-1m": {
        "split": "ncf_leave_one_out",
        "user_fields": ("gender", "age", "occupation"),
        "behaviour_fields": ("rating", "recency"),
        "context_fields": ("step", "hour"),
    },
    "ml-100k": {
        "split": "leave_one_out",
        "user_fields": ("gender", "age", "occupation"),
        "behaviour_fields": ("rating", "recency", "time_gap"),
        "context_fields": ("step", "hour"),
        "batch_size": 256,
        "examples_per_epoch": 38_400,
    },
}
for _name in ("amazon-sports", "amazon-beauty"):
    _DATA[_name] = {
        "split": "leave_one_out",
        "user_fields": (),
        "behaviour_fields": ("recency", "time_gap"),
        "context_fields": ("step",),
        "max_history": 20,
    }
DATASETS = tuple(_DATA)
TESTING_DATASET = "ml-100k"


def setting_for(dataset: str, model: str, seed: int, testing: bool = False) -> Setting:
    """The setting of a model on a data set.

    Args:
        dataset: of `DATASETS`.
        model: of `MODELS`.
        seed: of weights, order and negatives.
        testing: a few steps, to see that everything runs.
    """
    data = dict(_DATA[dataset])
    if testing:
        data |= {"batch_size": 64, "examples_per_epoch": 640, "max_history": 10}
    max_history = data.get("max_history", Setting.max_history)
    network = {**NEURAL, **CLOSED_FORM}.get(model)
    if model in PDN_VARIANTS:
        network = PdnConfig(**PDN_VARIANTS[model])
    if hasattr(network, "max_history"):
        network = dataclasses.replace(network, max_history=max_history)
    setting = Setting(
        dataset=dataset,
        model=model,
        network=network,
        training=TrainingConfig(monitor="ndcg", seed=seed, tensorboard=False),
        **data,
    )
    # They score pairs: all items for all users take 20 minutes.
    if model in ("din", "pdn-vector"):
        setting = dataclasses.replace(setting, num_full_users=1000)
    if testing:
        index = IndexSetting(k=20, k_hat=60, m=5, top_k=20)
        setting = dataclasses.replace(setting, index=index)
    epochs = EPOCHS.get(model, PDN_EPOCHS)
    if dataset.startswith("amazon"):
        epochs = AMAZON_EPOCHS.get(model, epochs)
    rate = PDN_LEARNING_RATE if model in PDN_VARIANTS else LEARNING_RATE
    rate = LEARNING_RATES.get(model, rate)
    return with_schedule(setting, rate, 1 if testing else epochs)


def with_schedule(setting: Setting, learning_rate: float, epochs: int) -> Setting:
    """Adam whose step falls to a twentieth on a line over the epochs (ours)."""
    steps = epochs * (setting.examples_per_epoch // setting.batch_size)
    training = dataclasses.replace(
        setting.training,
        learning_rate=learning_rate,
        final_learning_rate=learning_rate / 20,
        decay_steps=steps,
        epochs=epochs,
    )
    return dataclasses.replace(setting, training=training)
