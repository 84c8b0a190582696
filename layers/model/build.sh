#!/usr/bin/env bash
# Copy a model bundle to TARGET/model and verify it.  BUNDLE is `compact`, https://..., s3://bucket/prefix/, a directory, or
# a model that is imported from the published weights: `mn04` and others of EfficientAT, or `max`, which needs TensorFlow.
#   build.sh TARGET BUNDLE [OPTION OF THE IMPORT...]
set -euo pipefail
target=$1/model bundle=$2
shift 2
classifier=("${PYTHON:-python3}" -m audio_classifier bundle)

case $bundle in
  max) "${classifier[@]}" import-max "$target" "$@" ;;
  mn[0-9][0-9]) "${classifier[@]}" import-efficientat "$bundle" "$target" "$@" ;;
  *) "${classifier[@]}" copy "$bundle" "$target" ;;
esac
