#!/usr/bin/env bash
# From a fresh clone to a counted click: installs, builds, runs one node with the
# ads of conf/ads.ndjson, sends a click, shows its count, and leaves the node
# running (Ctrl-C stops it). With --once it stops the node at the end and exits 0.
set -euo pipefail
cd "$(dirname "$0")/.."

once=no
case "${1:-}" in
  "") ;;
  --once) once=yes ;;
  *) echo "usage: conf/quickstart.sh [--once]" >&2; exit 2 ;;
esac

collector=127.0.0.1:8080
api=127.0.0.1:8081
binary=build/release/clickmill
ad_id=$(sed -n '/"ad_id"/{s/.*"ad_id" *: *"\([^"]*\)".*/\1/p;q}' conf/ads.ndjson)

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

say "1. Packages and build"
./conf/install.sh
./conf/build.sh release clickmill

for address in $collector $api; do
  if (exec 3<>"/dev/tcp/${address%:*}/${address#*:}") 2>/dev/null; then
    fail "something already listens on $address (a node of an earlier run?); stop it first"
  fi
done

say "2. One node, data in ./clickmill-data"
$binary serve --config conf/quickstart.json &
node=$!
# Whatever ends this script ends the node.
stop() {
  trap - EXIT INT TERM
  kill -TERM "$node" 2>/dev/null || true
  wait "$node"
}
trap 'stop; exit $?' INT TERM
trap 'stop || true' EXIT

# wait_for WHAT COMMAND...: until it succeeds, at most 30 seconds, as long as the node lives.
wait_for() {
  local what=$1 deadline=$((SECONDS + 30))
  shift
  until "$@"; do
    kill -0 "$node" 2>/dev/null || fail "the node ended; its message is above"
    [ "$SECONDS" -lt "$deadline" ] || fail "$what did not happen within 30 seconds"
    sleep 0.1
  done
}
ready() { curl -sf -o /dev/null "http://$api/readyz"; }
wait_for "readiness" ready

now_ms=$(date +%s%3N)
minute_ms=$((now_ms / 60000 * 60000))
click="{\"click_id\":\"quickstart-$now_ms-$$\",\"ad_id\":\"$ad_id\",\"timestamp_ms\":$now_ms,\"device_type\":\"mobile\",\"country\":\"US\"}"
metrics="http://$api/v1/metrics/clicks?ad_id=$ad_id&from=$minute_ms&to=$((minute_ms + 60000))&breakdown=device_type"
count() { curl -sf "$metrics" | sed -n 's/.*"total" *: *{[^}]*"click_count" *: *\([0-9]*\).*/\1/p'; }

before=$(count || true)
[ -n "$before" ] || fail "no count from $metrics"

say "3. A click: POST http://$collector/v1/click"
echo "$click"
answer=$(curl -si -X POST -H 'Content-Type: application/json' -d "$click" "http://$collector/v1/click")
printf '%s\n' "$answer" | tr -d '\r' | sed -n '1p;/^[Ll]ocation:/p'
case "$answer" in
  HTTP/1.1\ 302*) ;;
  *) printf '%s\n' "$answer" >&2; fail "the click was not redirected" ;;
esac

say "4. Its count: GET /v1/metrics/clicks"
counted() { [ "$(count || true)" = "$((before + 1))" ]; }
wait_for "the count of the click" counted
echo "curl '$metrics'"
curl -sf "$metrics"
printf '\n%s before this click, %s now\n' "$before" "$((before + 1))"

if [ $once = yes ]; then
  stop || fail "the node did not stop cleanly (exit code $?)"
  say "Stopped; the data stays in ./clickmill-data"
  exit 0
fi

say "The node runs until Ctrl-C. Try:"
cat <<TXT
  curl -i 'http://$collector/v1/click?ad_id=$ad_id'
  curl 'http://$api/v1/metrics/top?minutes=10'
  curl 'http://$api/v1/ads'
  curl -X PUT http://$api/v1/ads/my_ad -d '{"advertiser_id":"me","ad_format":"banner","redirect_url":"https://example.com/"}'
  curl 'http://$api/metrics'
TXT
say "And see it counted in a browser: http://$api/"
wait "$node"
