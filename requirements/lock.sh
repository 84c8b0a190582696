#!/usr/bin/env bash
# Resolve all dependencies of the project together, then write a lock file for each stage with these versions.  The lock
# files have hashes, but no index addresses.
#   lock.sh [UV]
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${1:-uv}
all=$(mktemp)
trap 'rm -f "$all"' EXIT

compile() {
  "$uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --constraint requirements/constraints.in --custom-compile-command 'make lock' "$@"
}
compile requirements/build.in --output-file requirements/build.txt
compile requirements/sam.in --output-file requirements/sam.txt
compile requirements/infra.in --output-file requirements/infra.txt
compile requirements/load.in --output-file requirements/load.txt
compile pyproject.toml requirements/training.in --all-extras --group test --group web --output-file "$all"
compile pyproject.toml --constraint "$all" --output-file requirements/runtime.txt
compile pyproject.toml --constraint "$all" --extra completion --extra formats --extra lambda --extra plot --extra reference \
  --extra serve --extra train --group test --output-file requirements/test.txt
compile pyproject.toml --constraint "$all" --extra plot --output-file requirements/plot.txt
compile pyproject.toml --constraint "$all" --extra plot --extra train --output-file requirements/train.txt
compile pyproject.toml --constraint "$all" --group web --output-file requirements/web.txt
compile pyproject.toml --constraint "$all" --extra serve --output-file requirements/serve.txt
compile pyproject.toml --constraint "$all" --extra serve --extra lambda --output-file requirements/lambda.txt
compile pyproject.toml --constraint "$all" --extra serve --extra lambda --group image \
  --output-file requirements/image.txt
compile pyproject.toml --constraint "$all" --extra formats --extra serve --extra lambda --group image \
  --output-file requirements/image-formats.txt
compile pyproject.toml --constraint "$all" --extra convert --output-file requirements/convert.txt
# tinysoundfont depends on pyaudio, which only plays audio and must be compiled.
compile pyproject.toml requirements/training.in --constraint "$all" --extra convert --no-emit-package pyaudio \
  --output-file requirements/training.txt
