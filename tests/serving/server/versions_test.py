"""Version folders and policies."""

import sys

import pytest

from tfrec.serving.errors import ServingError
from tfrec.serving.server import versions
from tfrec.serving.server.model_config import ModelConfig


def policy(**fields):
    model = ModelConfig()
    for name, value in fields.items():
        choice = getattr(model.model_version_policy, name)
        choice.SetInParent()
        if name == "latest":
            choice.num_versions = value
        elif name == "specific":
            choice.versions.extend(value)
    return model.model_version_policy


def test_folders_with_numbers_are_versions(tmp_path):
    for name in ("1", "0", "20", ".3.x", "four", "-5", "6.0", "²", str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "7").touch()
    found, problem = versions.found(tmp_path)
    assert problem is None
    assert found == {n: tmp_path / str(n) for n in (0, 1, 20)}


def test_of_two_folders_with_a_number_one_is_taken(tmp_path):
    for name in ("1", "01"):
        (tmp_path / name).mkdir()
    found, problem = versions.found(tmp_path)
    assert found == {1: tmp_path / "1"}
    assert problem == (
        f"Version 1 is loaded from `{tmp_path / '1'}`, not from `{tmp_path / '01'}`."
    )


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        versions.found(tmp_path / "missing")


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        (policy(), [9]),
        (policy(latest=0), [9]),
        (policy(latest=2), [7, 9]),
        (policy(latest=8), [1, 7, 9]),
        (policy(all=None), [1, 7, 9]),
        (policy(specific=[7, 1, 4]), [1, 7]),
        (policy(specific=[4]), []),
    ],
)
def test_policies(chosen, numbers, tmp_path):
    folders = {number: tmp_path / str(number) for number in (7, 1, 9)}
    wanted = versions.wanted(chosen, folders)
    assert wanted == {number: folders[number] for number in numbers}


@pytest.mark.parametrize("inner", ["", "variables", "assets/deep"])
def test_links_must_stay_in_the_base_path(tmp_path, inner):
    secret = tmp_path / "secret"
    secret.mkdir()
    base_path = tmp_path / "model"
    link = base_path / "1" / inner
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    with pytest.raises(ServingError, match="must not lead out of") as error:
        versions.check_inside(base_path / "1")
    assert str(secret) in error.value.message


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="`resolve` raises no more")
def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "loop").symlink_to("loop")
    with pytest.raises(ServingError, match="FAILED_PRECONDITION: .*1/loop. must not"):
        versions.check_inside(tmp_path / "1")


def test_links_within_the_base_path_are_fine(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "1").symlink_to(tmp_path / "shared")
    versions.check_inside(tmp_path / "1")


def test_a_base_path_may_be_a_link(tmp_path):
    (tmp_path / "real" / "1").mkdir(parents=True)
    (tmp_path / "model").symlink_to(tmp_path / "real")
    versions.check_inside(tmp_path / "model" / "1")
