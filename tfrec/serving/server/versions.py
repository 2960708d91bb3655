"""Which versions of a model are on disk, and which of them its policy wants."""

import pathlib
from collections.abc import Mapping
from typing import Any

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError

_MOST = 2**63 - 1


def found(
    base_path: pathlib.Path,
) -> tuple[dict[int, pathlib.Path], str | None]:
    """The folders of `base_path` whose names are numbers, int64, at least 0.

    Returns: folders by number, and what is wrong if several have the same one.
    Raises: OSError: the folder can't be read.
    """
    versions: dict[int, pathlib.Path] = {}
    problems = []
    for path in sorted(base_path.iterdir()):
        if not (path.name.isascii() and path.name.isdecimal() and path.is_dir()):
            continue
        number = int(path.name)
        if number > _MOST:
            continue
        if number in versions:
            problems.append(
                f"Version {number} is loaded from `{path}`, not from "
                f"`{versions[number]}`."
            )
        versions[number] = path
    return versions, " ".join(problems) or None


def wanted(
    policy: Any, versions: Mapping[int, pathlib.Path]
) -> dict[int, pathlib.Path]:
    """The versions that a policy wants, out of those on disk.

    Args:
        policy: FileSystemStoragePathSourceConfig.ServableVersionPolicy; the default is
            the latest one.
    """
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return dict(versions)
    if choice == "specific":
        numbers = [n for n in policy.specific.versions if n in versions]
        return {number: versions[number] for number in numbers}
    count = max(policy.latest.num_versions, 1)
    return {number: versions[number] for number in sorted(versions)[-count:]}


def check_inside(folder: pathlib.Path) -> None:
    """Raises: ServingError (FAILED_PRECONDITION): a link leads out of the base path.

    Args:
        folder: of a version; its parent is the base path.
    """
    base_path = folder.parent.resolve()
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            continue
        try:
            target = path.resolve()
        except RuntimeError as error:  # Python before 3.13, of a loop of links
            raise _leads_out(path, folder.parent, str(error)) from error
        if not target.is_relative_to(base_path):
            raise _leads_out(path, folder.parent, f"a link to {target}")


def _leads_out(
    path: pathlib.Path, base_path: pathlib.Path, received: str
) -> ServingError:
    return ServingError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"`{path}` must not lead out of `{base_path}`. Received: {received}",
    )
