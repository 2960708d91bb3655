"""The five commands of docs/serving.md, after `make demo`, as a newcomer types them."""

import json
import re
import shlex
import shutil
import subprocess

import pytest

from experiments.serving import synthetic_exports
from tests import own_process
from tests.serving import served_models
from tests.serving.server import running

_BLOCK = re.compile(r"## Five commands\n.*?```sh\n(.*?)```", re.DOTALL)
_PORTS = {"8500": "--port", "8501": "--rest_api_port"}


@pytest.fixture(scope="module")
def commands() -> list[list[str]]:
    """The words of each command."""
    (block,) = _BLOCK.findall((own_process.ROOT / "docs/serving.md").read_text())
    return [shlex.split(line, comments=True) for line in block.splitlines()]


@pytest.fixture(scope="module")
def server(commands, tmp_path_factory):
    """What the second command starts, on a model without training and on free ports."""
    folder = tmp_path_factory.mktemp("five_commands")
    synthetic_exports.nann(folder / "nann", served_models.NUM_ITEMS, served_models.WALK)
    python, dash_m, module, *flags, background = commands[1]
    assert (python, dash_m, background) == (".venv/bin/python", "-m", "&")
    places = {"--model_base_path": folder / "nann"}
    for flag in flags:
        name, _, value = flag.partition("=")
        if name in _PORTS.values():
            assert _PORTS[value] == name
        else:
            places.setdefault(name, value)
    assert "--model_base_path=runs/demo/export" in flags
    given = [f"{name}={value}" for name, value in places.items()]
    with running.running(folder, *given, rest=True, module=module) as server:
        yield server


def test_there_are_five_and_the_first_is_the_demo(commands):
    assert len(commands) == 5
    assert commands[0] == ["make", "demo"]
    assert commands[2][0] == "sleep"


def test_the_official_stubs_have_an_answer(commands, server):
    python, *script = commands[3]
    assert python == ".venv/bin/python"
    version, ids, scores = own_process.lines(*script, server.address)[-3:]
    assert version == "version 1"
    assert len(re.findall(r"\d+", ids)) == 5
    assert scores.startswith("scores [[")


def test_curl_has_an_answer(commands, server):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    *words, url = commands[4]
    address, _, path = url.partition("/")
    assert address == "localhost:8501"
    done = subprocess.run(
        [*words, "--silent", f"http://{server.rest_address}/{path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["outputs"]["ids"][0]) == 5
