#!/usr/bin/env bash
# The function's dependencies, as locked, at TARGET/python, where Lambda looks for a layer's packages.
#   build.sh TARGET REQUIREMENTS [PIP OPTION...]
set -euo pipefail
target=$1/python requirements=$2
shift 2

"${PYTHON:-python3}" -m pip --disable-pip-version-check install --quiet --root-user-action ignore --no-cache-dir \
  --no-compile --no-deps --only-binary :all: --require-hashes --requirement "$requirements" --target "$target" "$@"
# Commands, which nobody can call there, and a tenth of all that only runs models on a graphics card.
rm -rf "$target/bin" "$target/ai_edge_litert/libLiteRtWebGpuAccelerator.so"
