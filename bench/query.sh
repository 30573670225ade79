#!/usr/bin/env bash
# How long questions take through HTTP, while what they ask for is still in the head and once it
# is in parts, beside chDB (ClickHouse) and DuckDB over the same clicks in the same run:
#   bench/query.sh [--long] [--rows N] [--no-peers] [--keep DIR]
# 3 M minute rows of a year and 1,000 ads (--long: 10 M). Wants a release build (BUILD=DIR for
# another), python3, and for the peers node and npm: bench/peers/package.json has their versions.
# Needs some 4 GB of disk (--long: 14) under $TMPDIR, given back at the end but for --keep's.
# Loopback only.
set -euo pipefail
exec python3 "$(dirname "$0")/query.py" "$@"
