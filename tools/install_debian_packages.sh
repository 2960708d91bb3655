#!/usr/bin/env bash
# Installs the Debian packages that the build and the tests use, where they are missing:
# a compiler for the op library, make, Bazel for `make bazel`, and the Redis server that
# the tests of the store start. Needs root.
set -euo pipefail

missing=()
for package in g++ make bazel-bootstrap redis-server; do
  dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
    grep -qx installed || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "${missing[@]}"
