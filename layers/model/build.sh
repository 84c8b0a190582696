#!/usr/bin/env bash
# Copy a model bundle to TARGET/model and verify it.  BUNDLE is `compact`, https://..., s3://bucket/prefix/, a directory, or
# `max`, which is imported from the published weights and needs TensorFlow.
#   build.sh TARGET BUNDLE [OPTION OF import-max...]
set -euo pipefail
target=$1/model bundle=$2
shift 2
classifier=("${PYTHON:-python3}" -m audio_classifier bundle)

if [ "$bundle" = max ]; then
  "${classifier[@]}" import-max "$target" "$@"
else
  "${classifier[@]}" copy "$bundle" "$target"
fi
