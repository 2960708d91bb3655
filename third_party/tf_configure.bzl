"""Makes a repository of the TensorFlow that a Python interpreter imports."""

_SCRIPT = """
import json
import tensorflow as tf
print(json.dumps({
    "include": tf.sysconfig.get_include(),
    "lib": tf.sysconfig.get_lib(),
    "version": tf.__version__,
    "defines": [f[2:] for f in tf.sysconfig.get_compile_flags() if f.startswith("-D")],
    "library": [f[3:] for f in tf.sysconfig.get_link_flags() if f.startswith("-l:")][0],
}))
"""

_BUILD = """
package(default_visibility = ["//visibility:public"])

# `includes` makes it `-isystem`: warnings of TensorFlow's headers are not ours.
cc_library(
    name = "tensorflow",
    srcs = ["lib/{library}"],
    hdrs = glob(["include/**"]),
    defines = {defines},
    includes = ["include"],
)
"""

def _tf_configure_impl(repository_ctx):
    python = repository_ctx.os.environ.get("PYTHON_BIN_PATH")
    python = python or repository_ctx.which("python3")
    if not python:
        fail("PYTHON_BIN_PATH must name a Python with TensorFlow. Received: nothing")
    found = repository_ctx.execute(
        [python, "-c", _SCRIPT],
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if found.return_code != 0:
        fail("PYTHON_BIN_PATH must name a Python with TensorFlow. Received: %s: %s" %
             (python, found.stderr))
    flags = json.decode(found.stdout.splitlines()[-1])
    repository_ctx.symlink(flags["include"], "include")
    repository_ctx.symlink(
        flags["lib"] + "/" + flags["library"],
        "lib/" + flags["library"],
    )
    version = "TFREC_TENSORFLOW_VERSION=" + flags["version"]
    repository_ctx.file("BUILD", _BUILD.format(
        defines = repr(flags["defines"] + [version]),
        library = flags["library"],
    ))

tf_configure = repository_rule(
    doc = """The headers and the framework library of the installed TensorFlow.

Its one target is `//:tensorflow`, which also defines `TFREC_TENSORFLOW_VERSION`. The
environment variable `PYTHON_BIN_PATH` names the interpreter; default `python3`.
""",
    implementation = _tf_configure_impl,
    environ = ["PYTHON_BIN_PATH"],
)
