"""What a training run is: one frozen dataclass, and the process-wide switches."""

import dataclasses

import tensorflow as tf

try:
    import keras
except ImportError as error:
    raise ImportError(
        f"Keras could not start its backend: {error}. It must be TensorFlow: set "
        "KERAS_BACKEND=tensorflow before Python starts."
    ) from error

OPTIMIZERS = ("adam", "adamw", "adagrad")
MODES = ("max", "min")
# A change of these does not change the numbers, so a resumed run may differ in them.
OPERATIONAL_FIELDS = frozenset(
    {"checkpoint_every_steps", "log_every_steps", "tensorboard"}
)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Settings of `tfrec.training.fit`. Defaults are ours unless they say otherwise.

    Args:
        optimizer: "adam", "adamw" or "adagrad", all with row-sparse tables.
        learning_rate: step size at the first step (Adam's default in Kingma & Ba 2015).
        final_learning_rate: where a straight line from `learning_rate` ends after
            `decay_steps`; None keeps it constant.
        decay_steps: steps of that line, set together with `final_learning_rate`.
        weight_decay: decoupled decay, "adamw" only; of a table's touched rows only.
        epochs: the most epochs that are run.
        steps_per_epoch: cuts each epoch's data set; None takes all of it.
        patience: epochs without a better `monitor` before stopping; None never stops.
        monitor: the metric of `task.validate()` that chooses the best epoch; None
            keeps the last epoch's weights.
        mode: "max" when a larger `monitor` is better, "min" otherwise.
        seed: of the initial weights, the step's random draws and everything else.
        checkpoint_every_steps: steps between checkpoints; 0 writes at epoch ends only.
        log_every_steps: steps between two reads of the losses from the device.
        mixed_precision: bfloat16 activations, float32 variables.
        deterministic: same bytes from the same seed (TensorFlow's op determinism).
        tensorboard: write scalars to `<output_dir>/tensorboard`.
    Raises: ValueError: a field is outside its range.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    final_learning_rate: float | None = None
    decay_steps: int | None = None
    weight_decay: float = 0.0
    epochs: int = 1
    steps_per_epoch: int | None = None
    patience: int | None = None
    monitor: str | None = None
    mode: str = "max"
    seed: int = 0
    checkpoint_every_steps: int = 1000
    log_every_steps: int = 50
    mixed_precision: bool = False
    deterministic: bool = True
    tensorboard: bool = True

    def __post_init__(self) -> None:
        positive = ("epochs", "log_every_steps")
        optional = ("decay_steps", "steps_per_epoch", "patience")
        counts = [(name, getattr(self, name)) for name in optional]
        rules = [
            ("optimizer", self.optimizer in OPTIMIZERS, f"in {OPTIMIZERS}"),
            ("mode", self.mode in MODES, f"in {MODES}"),
            ("learning_rate", self.learning_rate > 0, "> 0"),
            ("final_learning_rate", (self.final_learning_rate or 0) >= 0, ">= 0"),
            ("weight_decay", self.weight_decay >= 0, ">= 0"),
            (
                "weight_decay",
                self.weight_decay == 0 or self.optimizer == "adamw",
                '0 unless optimizer="adamw"',
            ),
            ("seed", 0 <= self.seed < 2**31, "in [0, 2**31)"),
            ("checkpoint_every_steps", self.checkpoint_every_steps >= 0, ">= 0"),
            *((name, getattr(self, name) >= 1, ">= 1") for name in positive),
            *((name, n is None or n >= 1, "None or >= 1") for name, n in counts),
            (
                "decay_steps",
                (self.decay_steps is None) == (self.final_learning_rate is None),
                "set together with `final_learning_rate`",
            ),
            (
                "monitor",
                self.patience is None or self.monitor is not None,
                "set when patience is set",
            ),
        ]
        for name, holds, rule in rules:
            if not holds:
                raise ValueError(
                    f"`{name}` must be {rule}. Received: {getattr(self, name)}"
                )

    def numeric_fields(self) -> dict[str, object]:
        """The fields that decide the weights: a checkpoint resumes only under these."""
        fields = dataclasses.asdict(self)
        return {k: v for k, v in fields.items() if k not in OPERATIONAL_FIELDS}


def configure(config: TrainingConfig) -> None:
    """Sets seeds, determinism and precision for the process; before any model is built.

    Raises: RuntimeError: Keras runs on a backend other than TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            "The Keras backend must be TensorFlow: set KERAS_BACKEND=tensorflow "
            f"before Python starts. Received: keras.backend.backend()={backend!r}"
        )
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(
        "mixed_bfloat16" if config.mixed_precision else "float32"
    )
