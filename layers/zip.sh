#!/usr/bin/env bash
# Build what infra/template-zip.yaml deploys: the function in BUILD/function (for /var/task), its dependencies and model in
# BUILD/layers/* (for /opt).  A build that fails leaves an older one as it was.
#   zip.sh BUILD PYTHON_VERSION ARCHITECTURE BUNDLE
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?} version=${2:?} bundle=${4:?}
case ${3:?} in
  x86_64 | amd64) architecture=x86_64 ;;
  arm64 | aarch64) architecture=aarch64 ;;
  *) echo "ARCHITECTURE must be x86_64 or arm64, got $3" >&2 && exit 2 ;;
esac
# AWS Lambda's quotas: "deployment package size ... unzipped, including layers".
max_bytes=262144000

fail() {
  echo "$* Leave the model in S3 (parameter ModelBucket of the template), or deploy the image." >&2
  exit 1
}
[ "$bundle" != max ] || fail "The published model does not fit into Lambda's layers."

mkdir -p "$build"
new=$(mktemp -d "$build/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
platforms=()
# Amazon Linux 2023 has glibc 2.34.
for glibc in 34 28 27 17; do
  platforms+=(--platform "manylinux_2_${glibc}_$architecture")
done
layers/inference/build.sh "$new/layers/inference" requirements/lambda.txt \
  --implementation cp --python-version "$version" "${platforms[@]}" --platform "manylinux2014_$architecture"
layers/model/build.sh "$new/layers/model" "$bundle"
"$PYTHON" -m pip --disable-pip-version-check install --quiet --root-user-action ignore \
  --no-deps --no-build-isolation --no-compile --target "$new/function" .
rm -rf "$new/function/bin"

if "python$version" --version > /dev/null 2>&1; then
  "python$version" -m compileall -q --invalidation-mode unchecked-hash "$new/function" "$new/layers/inference"
else
  echo "Not byte-compiled, because python$version is not installed: cold starts without SnapStart take seconds longer." >&2
fi

size=$(find "$new" -type f -exec wc -c {} + | awk '$2 != "total" {sum += $1} END {print sum}')
echo "$build: $((size / 1000000)) MB unzipped; Lambda accepts $((max_bytes / 1000000)) MB"
((size <= max_bytes)) || fail "The function and its layers are too large for Lambda."
rm -rf "$build/function" "$build/layers"
mv "$new/function" "$new/layers" "$build"
