#!/usr/bin/env bash
# Three nodes of one cluster on this machine: installs, builds, starts them, kills one with
# SIGKILL under load and shows that nothing is lost; leaves them running (Ctrl-C stops them).
# With --once it stops them at the end and exits 0.
set -euo pipefail
cd "$(dirname "$0")/../.."

once=no
case "${1:-}" in
  "") ;;
  --once) once=yes ;;
  *) echo "usage: conf/cluster/quickstart.sh [--once]" >&2; exit 2 ;;
esac

binary=build/release/clickmill
data=clickmill-data/cluster
declare -A collector=([n1]=127.0.0.1:8080 [n2]=127.0.0.1:8090 [n3]=127.0.0.1:8100)
declare -A api=([n1]=127.0.0.1:8081 [n2]=127.0.0.1:8091 [n3]=127.0.0.1:8101)
declare -A process=()
ad_id=$(sed -n '/"ad_id"/{s/.*"ad_id" *: *"\([^"]*\)".*/\1/p;q}' conf/ads.ndjson)

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

say "1. Packages and build"
./conf/install.sh
./conf/build.sh release clickmill

for address in "${collector[@]}" "${api[@]}"; do
  if (exec 3<>"/dev/tcp/${address%:*}/${address#*:}") 2>/dev/null; then
    fail "something already listens on $address (a node of an earlier run?); stop it first"
  fi
done

start() {
  $binary serve --config "conf/cluster/$1.json" 2>>"$data/$1.log" &
  process[$1]=$!
}
stop() {
  trap - EXIT INT TERM
  local node code=0
  for node in "${!process[@]}"; do kill -TERM "${process[$node]}" 2>/dev/null || true; done
  for node in "${!process[@]}"; do wait "${process[$node]}" || code=$?; done
  return $code
}
# wait_for WHAT COMMAND...: until it succeeds, at most 30 seconds.
wait_for() {
  local what=$1 deadline=$((SECONDS + 30))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what did not happen within 30 seconds; see $data/*.log"
    sleep 0.1
  done
}
ready() { curl -sf -o /dev/null "http://${api[$1]}/readyz"; }

say "2. Three nodes, data and logs in $data"
mkdir -p "$data"
# What proves a node to the others: the same file on each.
[ -s "$data/secret" ] || (umask 077 && od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$data/secret")
trap 'stop; exit $?' INT TERM
trap 'stop || true' EXIT
for node in n1 n2 n3; do start $node; done
for node in n1 n2 n3; do wait_for "readiness of $node" ready $node; done

begin_ms=$(date +%s%3N)
minute_ms=$((begin_ms / 60000 * 60000))
count() {
  curl -sf "http://${api[$1]}/v1/metrics/clicks?ad_id=$ad_id&from=$minute_ms&to=$((minute_ms + 600000))" |
    sed -n 's/.*"total" *: *{[^}]*"click_count" *: *\([0-9]*\).*/\1/p'
}
wait_for "an answer" count n2 >/dev/null
before=$(count n2)

say "3. 300 clicks at n2 and n3; n1 is killed with SIGKILL after a third of them"
answered=0
for i in $(seq 300); do
  node=n$((2 + i % 2))
  body="{\"click_id\":\"cluster-$begin_ms-$i\",\"ad_id\":\"$ad_id\",\"timestamp_ms\":$(date +%s%3N),\"device_type\":\"mobile\",\"country\":\"US\"}"
  status=$(curl -s -o /dev/null -w '%{http_code}' -d "$body" "http://${collector[$node]}/v1/click")
  [ "$status" = 302 ] || fail "click $i at $node: status $status"
  answered=$((answered + 1))
  if [ "$i" = 100 ]; then
    kill -KILL "${process[n1]}"
    wait "${process[n1]}" 2>/dev/null || true
  fi
done
echo "$answered clicks sent, $answered redirected"

say "4. Counted by n2 and n3, and by n1 once it is back"
counted() { [ "$(count "$1" || true)" = "$((before + answered))" ]; }
for node in n2 n3; do
  wait_for "the count at $node" counted $node
  echo "$node: $before before, $(count $node) now"
done
start n1
wait_for "the count at n1" counted n1
echo "n1: $(count n1)"

if [ $once = yes ]; then
  stop || fail "a node did not stop cleanly"
  say "Stopped; the data stays in $data"
  exit 0
fi

say "They run until Ctrl-C. Try:"
cat <<TXT
  curl -i 'http://${collector[n3]}/v1/click?ad_id=$ad_id'
  curl 'http://${api[n1]}/v1/metrics/top?minutes=10'
  curl 'http://${api[n2]}/v1/cluster'
TXT
wait
