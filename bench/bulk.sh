#!/usr/bin/env bash
# How many clicks a second a node takes from one client that imports them, durable, without
# copies and queryable, beside what chDB (ClickHouse) and DuckDB need to read and aggregate
# the same files, one after the other on the same cores; and what redirects at 1,000/s feel
# of the import:
#   bench/bulk.sh [CLICKS]                     default 1000000
# Wants node and npm, which install the peers into PEERS (default: build/peers), and a release
# build (BUILD=build/dev for another one). Loopback only.
set -euo pipefail
cd "$(dirname "$0")/.."
clicks=${1:-1000000}
binaries=${BUILD:-build/release}
peers=${PEERS:-build/peers}
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; wait; rm -rf "$folder"' EXIT

mkdir -p "$peers"
cp bench/peers/* "$peers/"
[ -d "$peers/node_modules" ] || (cd "$peers" && npm install --no-fund --no-audit)
mkdir "$folder/clicks"
"$binaries/clickmill-bench" lines --directory "$folder/clicks" --clicks "$clicks"
bodies=("$folder"/clicks/clicks-*.ndjson)

rows_a_second() { sed -n 's/.*: \([0-9]*\) rows in \([0-9.]*\) s.*/\1 \2/p' | awk '{printf "%d\n", $1 / $2}'; }

# name of the run
start_node() {
  cat > "$folder/node.json" << CONF
{"data_dir": "data-$1", "log_level": "warn", "collector": {"default_redirect": "https://shop.example.com/"},
 "listen": {"collector": "127.0.0.1:18194", "api": "127.0.0.1:18195", "peer": "127.0.0.1:18196"}}
CONF
  "$binaries/clickmill" serve --config "$folder/node.json" &
  pids=($!)
  until curl -fs -o "$folder/body.txt" http://127.0.0.1:18195/readyz; do sleep 0.1; done
  curl -fsS -o "$folder/body.txt" --data-binary @"$folder/clicks/ads.ndjson" http://127.0.0.1:18195/v1/ads
}
stop_node() {
  kill "${pids[0]}" && wait "${pids[0]}" || true
  pids=()
}
counted() {
  curl -fsS http://127.0.0.1:18195/metrics |
    awk '/^clickmill_clicks_counted_total/ {sum += $NF} END {printf "%d\n", sum}'
}
import() {
  local ticks begin end
  local -a request=()
  for body in "${bodies[@]}"; do
    [ ${#request[@]} = 0 ] || request+=(--next)
    request+=(-fsS -o "$folder/answer.txt" -H 'Content-Type: application/x-ndjson' --data-binary "@$body"
      'http://127.0.0.1:18195/v1/clicks?mode=backfill')
  done
  begin=$(date +%s%N)
  curl "${request[@]}"
  until [ "$(counted)" -ge "$clicks" ]; do sleep 0.02; done
  end=$(date +%s%N)
  ticks=$(awk '{print $14 + $15}' "/proc/${pids[0]}/stat")
  awk -v n="$clicks" -v ns=$((end - begin)) -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" 'BEGIN {
    printf "clickmill: %d rows in %.2f s; %.1f us of CPU a row\n", n, ns / 1e9, ticks / hz / n * 1e6 }'
}

for peer in chdb duckdb; do node "$peers/load.mjs" "$peer" "$folder/clicks" "$folder" | tee "$folder/$peer.txt"; done
start_node alone
import | tee "$folder/alone.txt"
stop_node
start_node beside
"$binaries/clickmill-bench" --collector 127.0.0.1:18194 --api none --rate 1000 --seconds 10 > "$folder/redirects.txt" &
pids+=($!)
import > "$folder/beside.txt"
wait "${pids[1]}"
sed 's/^clickmill/clickmill beside redirects/' "$folder/beside.txt"
grep latency "$folder/redirects.txt" | sed 's/^/redirects at 1,000\/s beside the import: /'
stop_node
awk -v c="$(rows_a_second < "$folder/alone.txt")" -v h="$(rows_a_second < "$folder/chdb.txt")" \
  -v d="$(rows_a_second < "$folder/duckdb.txt")" 'BEGIN {
  printf "clickmill %d/s, chDB %d/s, DuckDB %d/s: %.2f of chDB, %.2f of DuckDB\n", c, h, d, c / h, c / d }'
