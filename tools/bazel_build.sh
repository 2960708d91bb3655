#!/usr/bin/env bash
# Builds targets with Bazel, against the TensorFlow of a Python interpreter, and prints the
# path of each one's file. Needs no network.
#
# Usage: tools/bazel_build.sh [//package:file ...]    default: //:_tfrec_ops.so
#   BAZEL            the program; default: Debian's bazel-4, else bazel
#   PYTHON_BIN_PATH  the interpreter; default: .venv/bin/python
#
# Bazel 4.2.3 loads rules_cc, rules_java and rules_proto for BUILD files of its own, and
# takes from them only what is built in: third_party/offline stands in for them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# == 0)); then
  set -- //:_tfrec_ops.so
fi
bazel="${BAZEL:-$(command -v bazel-4 || command -v bazel || true)}"
if [[ -z "$bazel" ]]; then
  echo "Bazel must be installed; run tools/install_debian_packages.sh" >&2
  exit 1
fi
export PYTHON_BIN_PATH="${PYTHON_BIN_PATH:-$PWD/.venv/bin/python}"

flags=(--symlink_prefix=build/bazel- --noshow_progress)
for rules in rules_cc rules_java rules_proto; do
  flags+=("--override_repository=$rules=$PWD/third_party/offline/$rules")
done
mkdir -p build
"$bazel" --max_idle_secs=60 build "${flags[@]}" "$@" >&2
folder="$("$bazel" --max_idle_secs=60 info "${flags[@]}" bazel-bin 2>/dev/null)"
for target in "$@"; do
  file="${target#//}"
  file="${file/:/\/}"
  echo "$folder/${file#/}"
done
