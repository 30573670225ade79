#!/bin/bash
# Three processes of each on this machine, side by side in one run: clickmill (synced, then
# replicated), NATS JetStream with 3 replicas, etcd with 3 members. Acknowledged messages of 500
# bytes over 64 connections, how long there is none when the leader is killed, and what an idle
# cluster costs. Usage: bench/peers/replicated.sh [seconds [kills]], after a release build.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${TMPDIR:-/tmp}/clickmill-peers
mkdir -p "$folder"
# Unpacked, not installed: their services are not wanted.
for package in nats-server etcd-server; do
  [ -d "$folder/$package" ] && continue
  (cd "$folder" && { apt-get download -qq "$package" 2>/dev/null || { apt-get update -qq && apt-get download -qq "$package"; }; })
  dpkg-deb -x "$folder/$package"_*.deb "$folder/$package"
done
exec python3 "$here/replicated.py" --nats "$folder/nats-server/usr/sbin/nats-server" \
  --etcd "$folder/etcd-server/usr/bin/etcd" --seconds "${1:-10}" --kills "${2:-20}"
