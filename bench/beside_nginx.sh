#!/usr/bin/env bash
# How many clicks a second a node takes, beside what nginx takes that answers the same
# requests with a 302 and writes an access log (and records nothing durably), one after
# the other, on the same cores, from the same generator; and the CPU each spends on a click:
#   bench/beside_nginx.sh [SECONDS [CONNECTIONS...]]       default 10 64 256
# Wants nginx (apt-get install nginx-light) and a release build (BUILD=build/dev for another
# one). Loopback only.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
connections=("${@:2}")
[ ${#connections[@]} -gt 0 ] || connections=(64 256)
binaries=${BUILD:-build/release}
command -v nginx > /dev/null || { echo "nginx is missing: apt-get install nginx-light" >&2; exit 2; }
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; wait; rm -rf "$folder"' EXIT

cat > "$folder/nginx.conf" << CONF
worker_processes $(nproc);
daemon off;
pid $folder/nginx.pid;
error_log $folder/error.log;
events { worker_connections 4096; }
http {
  access_log $folder/access.log;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  keepalive_requests 100000000;
  server {
    listen 127.0.0.1:18190;
    location = /v1/click { return 302 https://shop.example.com/landing; }
  }
}
CONF
cat > "$folder/node.json" << CONF
{"data_dir": "data", "log_level": "warn",
 "listen": {"collector": "127.0.0.1:18191", "api": "127.0.0.1:18192", "peer": "127.0.0.1:18193"}}
CONF

# CPU of a process and its children, in microseconds
cpu_of() {
  local sum=0 pid
  for pid in "$1" $(ps -o pid= --ppid "$1"); do
    sum=$((sum + $(awk '{print $14 + $15}' "/proc/$pid/stat")))
  done
  echo $((sum * 1000000 / $(getconf CLK_TCK)))
}
# name, process, connections, arguments of the generator → clicks a second, CPU a click
measure() {
  local name=$1 pid=$2 count=$3 before
  shift 3
  before=$(cpu_of "$pid")
  "$binaries/clickmill-bench" --seconds "$seconds" --connections "$count" "$@" > "$folder/$name.txt" 2>&1 ||
    { cat "$folder/$name.txt" >&2; exit 1; }
  grep -E "latency|exactly once" "$folder/$name.txt" | sed "s/^/$name, $count connections: /" >&2
  awk -v used=$(($(cpu_of "$pid") - before)) '/^clicks: /{sent = $2} /^throughput: /{rate = $2}
    /^generator: /{generator = $2} END {printf "%d %.1f %.1f\n", rate, used / sent, generator / sent * 1e6}' \
    "$folder/$name.txt"
}

nginx -v
"$binaries/clickmill" --version
for count in "${connections[@]}"; do
  nginx -e "$folder/error.log" -c "$folder/nginx.conf" &
  pids=($!)
  until curl -fs -o "$folder/body.txt" http://127.0.0.1:18190/v1/click; do sleep 0.1; done
  nginx=$(measure nginx "${pids[0]}" "$count" --collector 127.0.0.1:18190 --api none)
  kill "${pids[0]}" && wait "${pids[0]}" || true
  rm -rf "$folder/data" "$folder/access.log"
  "$binaries/clickmill" serve --config "$folder/node.json" &
  pids=($!)
  until curl -fs -o "$folder/body.txt" http://127.0.0.1:18192/readyz; do sleep 0.1; done
  node=$(measure clickmill "${pids[0]}" "$count" --collector 127.0.0.1:18191 --api 127.0.0.1:18192)
  kill "${pids[0]}" && wait "${pids[0]}" || true
  pids=()
  echo "$nginx $node" | awk -v count="$count" '{
    printf "%d connections: nginx %d/s without durability, %.1f us of CPU a click (generator %.1f); ", count, $1, $2, $3
    printf "clickmill %d/s synced and counted, %.1f us (generator %.1f); ratio %.2f\n", $4, $5, $6, $4 / $1 }'
done
