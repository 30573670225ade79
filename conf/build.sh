#!/usr/bin/env bash
# Configures a preset and builds targets of it: conf/build.sh PRESET [-DNAME=VALUE...] TARGET...
# The quick start and the tests build through here, so that the release build is
# configured in one way and nothing is compiled twice.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1
shift
options=()
while [[ "${1:-}" == -D* ]]; do
  options+=("$1")
  shift
done
# An existing folder keeps the generator that it was made with.
[ -f "build/$preset/CMakeCache.txt" ] || options+=(-G Ninja)
# cmake says much about what it found; that matters only when it fails.
output=$(cmake --preset "$preset" "${options[@]}" 2>&1) || {
  printf '%s\n' "$output" >&2
  exit 1
}
# What ccache must overlook to serve files that are compiled with precompiled headers.
export CCACHE_SLOPPINESS=pch_defines,time_macros
# As many compilers as cores: one Beast file takes most of a gigabyte.
cmake --build "build/$preset" --parallel "$(nproc)" --target "$@"
