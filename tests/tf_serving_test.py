"""The overlay that links the ops into TensorFlow Serving, on a checkout in small.

TensorFlow Serving itself can't be built here. The checkout of these tests has the
structure of its BUILD files: WORKSPACE, `@org_tensorflow`, the list of ops and the
targets that use it. Its TensorFlow is the one that is installed, its server a program
that looks ops up.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_TOOLS = _ROOT / "tools" / "tf_serving"
_BUILD = "tensorflow_serving/model_servers/BUILD"
_SERVER = "tensorflow_serving/model_servers:tensorflow_model_server"
_COPT = "--per_file_copt=external/tfrec/.*@-Wno-error=deprecated-declarations"
_BAZEL = shutil.which("bazel-4") or shutil.which("bazel")

FILES = {
    "WORKSPACE": """\
workspace(name = "tf_serving")

load("//:tf_configure.bzl", "tf_configure")

tf_configure(name = "installed_tensorflow")

local_repository(
    name = "org_tensorflow",
    path = "org_tensorflow",
)

local_repository(
    name = "com_google_protobuf",
    path = "com_google_protobuf",
)
""",
    "BUILD": "",
    "org_tensorflow/WORKSPACE": "",
    "org_tensorflow/tensorflow/core/BUILD": """\
package(default_visibility = ["//visibility:public"])

cc_library(
    name = "framework",
    deps = ["@installed_tensorflow//:tensorflow"],
)

cc_library(
    name = "lib",
    deps = ["@installed_tensorflow//:tensorflow"],
)
""",
    "com_google_protobuf/WORKSPACE": "",
    "com_google_protobuf/BUILD": """\
cc_library(
    name = "protobuf",
    visibility = ["//visibility:public"],
)
""",
    "tensorflow_serving/BUILD": "",
    "tensorflow_serving/tensorflow_version.bzl": """\
def if_v2(a):
    return a

def if_not_v2(a):
    return []
""",
    _BUILD: """\
load("//tensorflow_serving:tensorflow_version.bzl", "if_not_v2", "if_v2")

cc_library(
    name = "other_ops",
    alwayslink = True,
)

# Ops that models may have.
SUPPORTED_TENSORFLOW_OPS = if_v2([]) + if_not_v2([
    "@org_tensorflow//tensorflow/contrib:kernels",
]) + [
    ":other_ops",
]

cc_library(
    name = "server_lib",
    srcs = ["server.cc"],
    copts = ["-std=c++17"],
    deps = [
        "@org_tensorflow//tensorflow/core:lib",
    ] + SUPPORTED_TENSORFLOW_OPS,
    alwayslink = True,
)

cc_binary(
    name = "tensorflow_model_server",
    deps = [":server_lib"],
)
""",
}


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "serving"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    shutil.copy(_ROOT / "third_party" / "tf_configure.bzl", folder)
    server = folder / "tensorflow_serving" / "model_servers" / "server.cc"
    shutil.copy(_ROOT / "tests" / "cc_ops" / "linked.cc", server)
    return folder


def apply(*arguments):
    return subprocess.run(
        [_TOOLS / "apply_overlay.sh", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_two_files_are_changed(checkout):
    before = contents(checkout)
    done = apply(checkout)
    assert done.returncode == 0, done.stderr
    after = contents(checkout)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"WORKSPACE", _BUILD}
    assert after["WORKSPACE"].startswith(before["WORKSPACE"])
    assert f'path = "{_ROOT}"' in after["WORKSPACE"]
    assert "%TFREC%" not in after["WORKSPACE"]
    lines = zip(before[_BUILD].splitlines(), after[_BUILD].splitlines(), strict=True)
    assert [new for old, new in lines if new != old] == [
        'SUPPORTED_TENSORFLOW_OPS = ["@tfrec//cc_ops:tfrec_ops"] + if_v2([]) + '
        "if_not_v2(["
    ]


def test_it_is_applied_once(checkout):
    assert apply(checkout).returncode == 0
    before = contents(checkout)
    done = apply(checkout)
    assert done.returncode == 1
    assert "must not have Tfrec's ops yet" in done.stderr
    assert contents(checkout) == before


@pytest.mark.parametrize("name", ["WORKSPACE", _BUILD])
def test_a_checkout_of_something_else_is_refused(checkout, name):
    (checkout / name).unlink()
    before = contents(checkout)
    done = apply(checkout)
    assert done.returncode == 1
    assert f"{checkout / name} must exist" in done.stderr
    assert contents(checkout) == before


@pytest.mark.parametrize("times", [0, 2])
def test_a_list_that_is_not_found_is_refused(checkout, times):
    path = checkout / _BUILD
    line = "SUPPORTED_TENSORFLOW_OPS = "
    path.write_text(path.read_text().replace(line, f"{line}[]\n" * times + "OPS = "))
    before = contents(checkout)
    done = apply(checkout)
    assert done.returncode == 1
    assert f"must have one line that starts with '{line}'" in done.stderr
    assert contents(checkout) == before


def test_the_checkout_must_be_named():
    done = apply()
    assert done.returncode == 1
    assert "CHECKOUT must be the one argument. Received: 0" in done.stderr


def test_the_version_is_the_one_of_the_package():
    pinned = re.search(
        r'"tensorflow==([\d.]+)\.\*"', (_ROOT / "pyproject.toml").read_text()
    )[1]
    dockerfile = (_TOOLS / "Dockerfile").read_text()
    for text in ((_TOOLS / "WORKSPACE.overlay").read_text(), dockerfile):
        (version,) = re.findall(r"_VERSION=([\d.]+)", text)
        assert version.rpartition(".")[0] == pinned


def copy_into_image(instructions, image):
    """Does what the COPY instructions do with files of the repository."""
    for line in instructions:
        if not line.startswith("COPY ") or "--from" in line:
            continue
        *sources, target = line.split()[1:]
        folder = pathlib.Path(f"{image}{target}")
        for source in sources:
            if (_ROOT / source).is_dir():
                shutil.copytree(_ROOT / source, folder)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(_ROOT / source, folder)


def test_the_dockerfile_copies_what_its_commands_need(tmp_path, checkout):
    """Its commands run on the files that it copies, with a stand-in for Bazel."""
    dockerfile = (_TOOLS / "Dockerfile").read_text()
    instructions = re.sub(r"\\\n\s*", "", dockerfile).splitlines()
    image, installed = tmp_path / "image", tmp_path / "installed"
    copy_into_image(instructions, image)
    binary = checkout / "bazel-bin" / _SERVER.replace(":", "/")
    binary.parent.mkdir(parents=True)
    binary.write_text("the server")
    installed.mkdir()
    bazel = tmp_path / "bin" / "bazel"
    bazel.parent.mkdir()
    bazel.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n')
    bazel.chmod(0o755)
    environment = {
        "PATH": f"{bazel.parent}:{os.environ['PATH']}",
        "TF_SERVING_BUILD_OPTIONS": "--config=release",
        "TF_SERVING_BAZEL_OPTIONS": "",
    }
    for command in [i.removeprefix("RUN ") for i in instructions if i[:4] == "RUN "]:
        command = re.sub(r"(^|\s)/tfrec/", rf"\1{image}/tfrec/", command)
        command = command.replace("/usr/local/bin/", f"{installed}/")
        command = ["sh", "-euc", command]
        subprocess.run(command, cwd=checkout, env=environment, check=True)
    assert (installed / "tensorflow_model_server").read_text() == "the server"
    assert (tmp_path / "arguments").read_text().split() == [
        "build",
        "--verbose_failures",
        "--config=release",
        _COPT,
        _SERVER,
    ]
    assert f'path = "{image}/tfrec"' in (checkout / "WORKSPACE").read_text()
    assert (image / "tfrec" / "cc_ops" / "BUILD").is_file()


def run_server(checkout):
    """Builds the server of a checkout with Bazel, without network, and runs it."""
    offline = _ROOT / "third_party" / "offline"
    bazel = [_BAZEL, f"--output_base={checkout.parent / 'output'}"]
    flags = [
        "--noshow_progress",
        "--spawn_strategy=local",
        _COPT,
        *(f"--override_repository={p.name}={p}" for p in sorted(offline.iterdir())),
    ]
    environment = {**os.environ, "PYTHON_BIN_PATH": sys.executable}
    try:
        done = subprocess.run(
            [*bazel, "build", *flags, _SERVER],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run([*bazel, "shutdown"], cwd=checkout, env=environment, check=True)
    server = checkout / "bazel-bin" / _SERVER.replace(":", "/")
    ran = subprocess.run([server], capture_output=True, text=True, check=False)
    return ran.stdout.splitlines()


@pytest.mark.long
@pytest.mark.skipif(
    _BAZEL is None,
    reason="Bazel is not installed; run tools/install_debian_packages.sh",
)
@pytest.mark.parametrize("with_overlay", [True, False])
def test_a_server_that_bazel_builds_has_the_ops(checkout, with_overlay):
    if with_overlay:
        assert apply(checkout).returncode == 0
    found = "op yes, kernel yes" if with_overlay else "op no, kernel no"
    names = ("VisitedInsert", "GraphExpand", "PathTopK")
    assert run_server(checkout) == [f"Tfrec>{name}: {found}" for name in names]
