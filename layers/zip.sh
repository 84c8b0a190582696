#!/usr/bin/env bash
# What infra/template-zip.yaml deploys: the function at BUILD/function (-> /var/task), its dependencies and its model at
# BUILD/layers/* (-> /opt); whole, or nothing.   zip.sh BUILD PYTHON_VERSION ARCHITECTURE BUNDLE
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 version=$2 architecture=${3/arm64/aarch64} bundle=$4
# AWS Lambda's quotas: "deployment package size ... unzipped, including layers".
max_bytes=262144000

give_up() {
  echo "$* Leave the model in S3 (parameter ModelBucket of the template), or deploy the image." >&2
  exit 1
}
[ "$bundle" != max ] || give_up "The published model does not fit into Lambda's layers."

rm -rf "$build/function" "$build/layers"
trap '[ $? = 0 ] || rm -rf "$build/function" "$build/layers"' EXIT
platforms=()
# Amazon Linux 2023 has glibc 2.34.
for glibc in 34 28 27 17; do
  platforms+=(--platform "manylinux_2_${glibc}_$architecture")
done
layers/inference/build.sh "$build/layers/inference" requirements/lambda.txt \
  --implementation cp --python-version "$version" "${platforms[@]}" --platform "manylinux2014_$architecture"
layers/model/build.sh "$build/layers/model" "$bundle"
"$PYTHON" -m pip --disable-pip-version-check install --quiet --root-user-action ignore \
  --no-deps --no-build-isolation --no-compile --target "$build/function" .
rm -rf "$build/function/bin"

if "python$version" --version > /dev/null 2>&1; then
  "python$version" -m compileall -q --invalidation-mode unchecked-hash "$build/function" "$build/layers/inference"
else
  echo "Not byte-compiled, for want of python$version: without SnapStart, a cold start takes seconds longer." >&2
fi

size=$(find "$build/function" "$build/layers" -type f -exec wc -c {} + | awk '$2 != "total" {sum += $1} END {print sum}')
echo "$build: $((size / 1000000)) MB unzipped, of $((max_bytes / 1000000)) that Lambda takes"
((size <= max_bytes)) || give_up "That is too large."
