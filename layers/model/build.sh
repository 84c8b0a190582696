#!/usr/bin/env bash
# A model bundle at TARGET/model, verified: `compact`, https://..., s3://bucket/prefix/ or a directory, or `max`, which is
# made of the published weights and needs TensorFlow.
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
