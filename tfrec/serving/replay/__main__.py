"""`python -m tfrec.serving.replay`: a log of requests becomes warm-up records.

    python -m tfrec.serving.replay --request_log=logs --export=runs/demo/export

writes the next version of the export: the latest one, with one logged request of each
shape added to its warm-up records. A server that watches the export then runs them
before it switches to that version, so that no live request meets a shape first.
"""

import sys
from collections.abc import Sequence

from absl import app, flags

from tfrec.artifacts import ArtifactError
from tfrec.serving import warmup
from tfrec.serving.errors import ServingError
from tfrec.serving.replay import folder as folder_lib
from tfrec.serving.replay import logs
from tfrec.serving.replay.selection import Selection, select

_LOGS = flags.DEFINE_multi_string(
    "request_log",
    None,
    "TFRecord files of PredictionLog, or folders of them.",
    required=True,
)
_EXPORT = flags.DEFINE_string(
    "export", None, "Its folder, or one version of it.", required=True
)
_MODEL = flags.DEFINE_string(
    "model", None, "Take the requests of this model, where a log has several."
)


def main(arguments: Sequence[str]) -> int:
    """Writes the version; returns the exit status."""
    if len(arguments) > 1:
        print(f"Unknown arguments: {arguments[1:]}. See --help.", file=sys.stderr)
        return 1
    try:
        return _run()
    except (ArtifactError, OSError, ServingError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _run() -> int:
    version = folder_lib.version_folder(_EXPORT.value)
    there = list(warmup.read(version))
    signatures = folder_lib.signatures(version)
    found = select(logs.read(_LOGS.value), signatures, there, _MODEL.value)
    _report(found, len(there))
    if len(found.records) == len(there):
        print(f"Nothing to add: {version} stays the latest version.")
        return 0
    target = folder_lib.copy_with_records(version, found.records)
    print(f"Wrote {target}, with {len(found.records)} warm-up records.")
    return 0


def _report(found: Selection, num_there: int) -> None:
    print(f"Read {found.num_read:,} requests of {found.num_shapes:,} shapes.")
    for reason, count in found.misfits.items():
        print(f"Left out {count:,}: {reason}.")
    if found.num_beyond:
        print(
            f"Left out {found.num_beyond:,} shapes, the least frequent: a version may "
            f"have {warmup.MAX_RECORDS:,} warm-up records."
        )
    if num_there:
        print(f"Kept the {num_there} warm-up records of that version.")


if __name__ == "__main__":
    app.run(main)
