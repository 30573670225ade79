#!/usr/bin/env bash
# How soon a node that was killed (SIGKILL) under load redirects again, and has caught up:
#   bench/restart.sh [SECONDS_OF_LOAD [CLICKS_PER_SECOND]]    (rate 0: as many as it takes)
# Wants a release build. Loopback only.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
rate=${2:-10000}
folder=$(mktemp -d)
pids=()
trap 'kill -9 "${pids[@]}" 2> /dev/null || true; wait 2> /dev/null; rm -rf "$folder"' EXIT
cat > "$folder/node.json" << CONF
{"data_dir": "data", "log_level": "warn",
 "listen": {"collector": "127.0.0.1:18291", "api": "127.0.0.1:18292", "peer": "127.0.0.1:18293"}}
CONF
serve() {
  build/release/clickmill serve --config "$folder/node.json" &
  pids[0]=$!
}
now() { date +%s.%N; }
ready() { curl -fs -o "$folder/body.txt" http://127.0.0.1:18292/readyz; }

serve
until ready; do sleep 0.1; done
curl -fs -o "$folder/body.txt" -X PUT -d '{"advertiser_id":"a","ad_format":"banner","redirect_url":"https://shop.example.com/"}' \
  http://127.0.0.1:18292/v1/ads/probe
build/release/clickmill-bench --collector 127.0.0.1:18291 --api 127.0.0.1:18292 --rate "$rate" --connections 256 \
  --seconds "$((seconds + 5))" > "$folder/load.txt" 2>&1 &
pids[1]=$!
sleep "$seconds"
ids=$(curl -fs http://127.0.0.1:18292/metrics | awk '/^clickmill_clicks_counted_total/ {sum += $2} END {print sum}')
kill -9 "${pids[0]}"
wait "${pids[0]}" 2> /dev/null || true
kill "${pids[1]}" 2> /dev/null || true
wait "${pids[1]}" 2> /dev/null || true
begin=$(now)
serve
until curl -fs -o "$folder/body.txt" "http://127.0.0.1:18291/v1/click?ad_id=probe&click_id=first"; do sleep 0.01; done
redirected=$(now)
until ready; do sleep 0.01; done
caught_up=$(now)
awk -v b="$begin" -v r="$redirected" -v c="$caught_up" -v i="$ids" 'BEGIN {
  printf "killed with %d clicks counted: redirects again after %.2f s, caught up after %.2f s\n", i, r - b, c - b }'
