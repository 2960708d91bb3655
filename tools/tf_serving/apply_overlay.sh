#!/usr/bin/env bash
# Adds Tfrec's ops to a checkout of TensorFlow Serving, so that the model server that is
# built from it has them. Changes WORKSPACE and tensorflow_serving/model_servers/BUILD,
# both or none.
#
# Usage: tools/tf_serving/apply_overlay.sh CHECKOUT
set -euo pipefail

fail() {
  echo "apply_overlay.sh: $*" >&2
  exit 1
}

(($# == 1)) || fail "CHECKOUT must be the one argument. Received: $#"
checkout="$1"
overlay="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
tfrec="$(cd "$overlay/../.." && pwd)"
workspace="$checkout/WORKSPACE"
build="$checkout/tensorflow_serving/model_servers/BUILD"
ops="@tfrec//cc_ops:tfrec_ops"
list="SUPPORTED_TENSORFLOW_OPS = "

case "$tfrec" in
  *[\"\\\&\|%]*) fail "the path of Tfrec must be plain. Received: $tfrec" ;;
esac
for file in "$workspace" "$build"; do
  [[ -f "$file" ]] || fail "$file must exist: CHECKOUT is TensorFlow Serving's sources"
  ! grep -q '"tfrec"\|@tfrec//' "$file" || fail "$file must not have Tfrec's ops yet"
done
count="$(grep -c "^$list" "$build" || true)"
[[ "$count" == 1 ]] ||
  fail "$build must have one line that starts with '$list'. Received: $count"

sed "s|^$list|&[\"$ops\"] + |" "$build" >"$build.tfrec"
{
  cat "$workspace"
  sed "s|%TFREC%|$tfrec|g" "$overlay/WORKSPACE.overlay"
} >"$workspace.tfrec"
mv "$build.tfrec" "$build"
mv "$workspace.tfrec" "$workspace"
echo "Added $ops to $checkout"
