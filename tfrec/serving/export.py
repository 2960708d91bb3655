"""One way to export a model: signatures, model card and warm-up records, as a version.

`docs/export.md` describes the folder. It is whole or not there.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfrec import artifacts
from tfrec.serving import model_card
from tfrec.serving.model_card import ModelCard
from tfrec.serving.saved_model import save_signatures

if TYPE_CHECKING:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog


class ExportError(OSError):
    """An export that can't be written; the message names the file."""


def export(
    signatures: Mapping[str, Any],
    path: str | os.PathLike,
    *,
    kind: str,
    format: int,
    meta: dict[str, Any],
    card: ModelCard,
    warmup: Sequence["PredictionLog"] = (),
) -> pathlib.Path:
    """Writes a SavedModel into the next version folder of `path`, whole or not at all.

    Args:
        signatures: concrete functions by name. Inputs have the names of the arguments,
            outputs the keys of the dict that is returned. Functions hold variables
            weakly: the caller keeps the objects that own them.
        path: the root of the versions; its parents are made.
        kind, format, meta: as `artifacts.create`.
        card: what the graph itself does not tell.
        warmup: records that `warmup.predict_log` made. They need the extra `[serving]`.
    Returns: the version folder, `<path>/<number>`.
    Raises:
        ValueError: a record does not suit its signature; the card is not JSON.
        ExportError: a file can't be written: the disk is full, for example.
        artifacts.ArtifactError: another export took the version meanwhile.
    """
    card.content()
    folder = artifacts.next_version(path)
    try:
        with artifacts.create(folder, kind=kind, format=format, meta=meta) as temporary:
            save_signatures("exported", signatures, temporary)
            content = model_card.write(card, temporary)
            if warmup:
                from tfrec.serving import warmup as records

                records.check(warmup, content["signatures"])
                records.write(temporary, warmup)
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(
            f"`{folder}` can't be written; nothing of it is left. Received: {error}"
        ) from error
    return folder
