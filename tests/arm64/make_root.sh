#!/usr/bin/env bash
# Make a folder in which qemu runs the function for arm64, as root on Debian for x86-64, unless it exists and is up to date:
#   bin/  qemu     root/  Python and its libraries     site/  the function's locked dependencies
# Nothing of it is executed here, so that neither binfmt_misc nor a container is needed.
#   make_root.sh FOLDER
set -euo pipefail
folder=$(realpath --canonicalize-missing "${1:?}")
cd "$(dirname "$0")/../.."
[ "$(uname -m)" = x86_64 ] || { echo "make_root.sh emulates arm64 on x86-64, but this machine is $(uname -m)" >&2 && exit 1; }
key=$(cat requirements/lambda.txt layers/inference/build.sh tests/arm64/make_root.sh | sha256sum)
[ "$(cat "$folder/key" 2> /dev/null)" != "$key" ] || exit 0

command -v mmdebstrap > /dev/null || .ci/apt-install --no-install-recommends mmdebstrap
mkdir -p "$(dirname "$folder")"
new=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$new"' EXIT

mmdebstrap --quiet --variant=extract --architectures=arm64 \
  --include=python3-minimal,libpython3.11-stdlib,libstdc++6,zlib1g,libgomp1 bookworm "$new/root"
# The qemu of Debian 12 (7.2) crashes in XNNPACK, which computes the network.
mmdebstrap --quiet --variant=extract --include=qemu-user trixie "$new/qemu"
mkdir "$new/bin"
mv "$new"/qemu/usr/bin/qemu-{aarch64,x86_64} "$new/bin"
rm -rf "$new/qemu"
platforms=()
for glibc in 28 27 17; do # Debian 12 has glibc 2.36, Amazon Linux 2023 has 2.34
  platforms+=(--platform "manylinux_2_${glibc}_aarch64")
done
layers/inference/build.sh "$new/site" requirements/lambda.txt \
  --implementation cp --python-version 3.11 "${platforms[@]}" --platform manylinux2014_aarch64

echo "$key" > "$new/key"
rm -rf "$folder"
mv "$new" "$folder"
trap - EXIT
