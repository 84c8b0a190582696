#!/usr/bin/env bash
# Install the function's locked dependencies into TARGET/python, where Lambda looks for a layer's packages.
#   build.sh TARGET REQUIREMENTS [PIP OPTION...]
set -euo pipefail
target=$1/python requirements=$2
shift 2

"${PYTHON:-python3}" -m pip --disable-pip-version-check install --quiet --root-user-action ignore --no-cache-dir \
  --no-compile --no-deps --only-binary :all: --require-hashes --requirement "$requirements" --target "$target" "$@"
# Remove commands, which cannot be called there, and a library for graphics cards that is a tenth of the size.
rm -rf "$target/bin" "$target/ai_edge_litert/libLiteRtWebGpuAccelerator.so"
