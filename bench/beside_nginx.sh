#!/usr/bin/env bash
# How many clicks a second a node takes, beside what nginx takes that answers the same
# requests with a 302 and writes an access log (and records nothing durably), one after
# the other, on the same cores, from the same generator:
#   bench/beside_nginx.sh [SECONDS [CONNECTIONS]]
# Wants nginx (apt-get install nginx-light) and a release build. Loopback only.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
connections=${2:-256}
binaries=build/release
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

# name, arguments of the generator
rate_of() {
  local name=$1
  shift
  "$binaries/clickmill-bench" --seconds "$seconds" --connections "$connections" "$@" > "$folder/$name.txt" 2>&1 ||
    { cat "$folder/$name.txt" >&2; exit 1; }
  grep -E "latency|exactly once" "$folder/$name.txt" | sed "s/^/$name: /" >&2
  sed -n 's/^throughput: \([0-9]*\).*/\1/p' "$folder/$name.txt"
}

nginx -e "$folder/error.log" -c "$folder/nginx.conf" &
pids+=($!)
until curl -fs -o "$folder/body.txt" http://127.0.0.1:18190/v1/click; do sleep 0.1; done
nginx_rate=$(rate_of nginx --collector 127.0.0.1:18190 --api none)
kill "${pids[0]}" && wait "${pids[0]}" || true
pids=()
"$binaries/clickmill" serve --config "$folder/node.json" &
pids+=($!)
until curl -fs -o "$folder/body.txt" http://127.0.0.1:18192/readyz; do sleep 0.1; done
node_rate=$(rate_of clickmill --collector 127.0.0.1:18191 --api 127.0.0.1:18192)
awk -v n="$nginx_rate" -v c="$node_rate" 'BEGIN {
  printf "nginx: %d/s without durability; clickmill: %d/s synced and counted; ratio %.2f\n", n, c, c / n }'
