"""`python -m tfrec.pdn`: the item-to-item index of an exported model.

    python -m tfrec.pdn --saved_model=export/1 --inputs=inputs --output=index \
        --model_version=1

With `--runner` the same index is built by an Apache Beam pipeline, and flags that are
not listed here are Beam's. On all cores of this machine:

    python -m tfrec.pdn ... --runner=DirectRunner \
        --direct_running_mode=multi_processing --direct_num_workers=0

What was stopped goes on when the same command runs again.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from tfrec.artifacts import ArtifactError
from tfrec.pdn import index_build, index_inputs
from tfrec.pdn.index_shards import IndexConfig
from tfrec.pdn.saved_similarity import SavedSimilarity

_DEFAULTS = IndexConfig()

_SAVED_MODEL = flags.DEFINE_string(
    "saved_model",
    None,
    "Exported model with the signature `similarities(triggers, items)`.",
    required=True,
)
_INPUTS = flags.DEFINE_string(
    "inputs",
    None,
    "Folder that `tfrec.pdn.index_inputs.IndexInputs.save` wrote.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the index.", required=True)
_MODEL_VERSION = flags.DEFINE_string(
    "model_version", None, "Written into the index; readers compare it.", required=True
)
_K = flags.DEFINE_integer("k", _DEFAULTS.k, "Longest list of an item.")
_K_HAT = flags.DEFINE_integer("k_hat", _DEFAULTS.k_hat, "Most candidates of an item.")
_ITEMS_PER_SHARD = flags.DEFINE_integer(
    "items_per_shard", _DEFAULTS.items_per_shard, "Items written at once."
)
_PAIRS_PER_BATCH = flags.DEFINE_integer(
    "pairs_per_batch", _DEFAULTS.pairs_per_batch, "Most pairs of one call of the model."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an index at --output.")


def main(arguments: Sequence[str]) -> int:
    """Builds the index; returns the exit status, 1 after an error."""
    beam_options = list(arguments[1:])
    is_for_beam = any(option.startswith("--runner") for option in beam_options)
    if beam_options and not is_for_beam:
        print(
            f"Flags of Beam need `--runner`. Received: {beam_options}", file=sys.stderr
        )
        return 1
    try:
        config = IndexConfig(
            _K.value, _K_HAT.value, _ITEMS_PER_SHARD.value, _PAIRS_PER_BATCH.value
        )
        _build(config, beam_options)
    except (ArtifactError, ImportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _build(config: IndexConfig, beam_options: Sequence[str]) -> None:
    make_score_pairs = SavedSimilarity(_SAVED_MODEL.value)
    if not beam_options:
        inputs = index_inputs.load(_INPUTS.value)
        index_build.build(
            inputs,
            make_score_pairs(inputs),
            config,
            _MODEL_VERSION.value,
            _OUTPUT.value,
            _OVERWRITE.value,
        )
        return
    from tfrec.pdn import index_beam

    job = index_beam.IndexJob(
        _INPUTS.value,
        make_score_pairs,
        config,
        _MODEL_VERSION.value,
        _OUTPUT.value,
        _OVERWRITE.value,
    )
    index_beam.build_with_beam(job, beam_options)


def _parse(arguments: Sequence[str]) -> list[str]:
    """The flags above are read; the rest is left for Beam."""
    return flags.FLAGS(arguments, known_only=True)


if __name__ == "__main__":
    logging.set_verbosity(logging.INFO)
    app.run(main, flags_parser=_parse)
