#!/bin/bash
# Expected: a proxy that balances over two servers, one of them known to be away, sends everything
#   to the other: with lb_policy round_robin as with any other policy.
# Seen: Caddy's round_robin answers some concurrent requests 503 by itself though one of its two
#   servers is well all the time; random and least_conn answer none. A request whose turn falls on
#   the server that is away takes the next turn of a counter that all requests share, and when
#   another request took a turn in between, it falls on the same server again and counts as "none".
# Why it matters: a GET hides it where lb_try_duration is set, a POST is not sent again. Clicks are
#   lost at the door in every rolling restart, with two healthy-looking nodes in every report.
set -eu
CADDY=2.6.2-5
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"

# Unpacked, not installed: its service is not wanted.
apt-get download -qq "caddy=$CADDY" >/dev/null 2>&1 || { apt-get update -qq && apt-get download -qq "caddy=$CADDY"; } >/dev/null
dpkg-deb -x caddy_*.deb caddy
caddy=$folder/caddy/usr/bin/caddy
export XDG_DATA_HOME=$folder XDG_CONFIG_HOME=$folder
"$caddy" version

cat >clients.py <<'PYTHON'
"""One server that is well, and 32 clients that keep their connections; prints the answers' statuses."""
import collections, http.client, http.server, socket, sys, threading

class Well(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

if sys.argv[1] == "serve":
    Server(("127.0.0.1", int(sys.argv[2])), Well).serve_forever()
answers = collections.Counter()
def click(port):
    mine, connection = collections.Counter(), http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(600):
        connection.request("POST", "/", b"x")
        answer = connection.getresponse()
        answer.read()
        mine[answer.status] += 1
    answers.update(mine)
crowd = [threading.Thread(target=click, args=(int(sys.argv[2]),)) for _ in range(32)]
[one.start() for one in crowd]
[one.join() for one in crowd]
print(answers[204], answers[503], sum(answers.values()) - answers[204] - answers[503])
PYTHON

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
well=$(free)
away=$(free)
python3 clients.py serve "$well" &
pids+=($!)

answers_with() {
  local port
  port=$(free)
  cat >"$1.conf" <<CONF
{
	admin off
}
http://127.0.0.1:$port {
	reverse_proxy 127.0.0.1:$well 127.0.0.1:$away {
		lb_policy $1
		health_uri /
		health_interval 200ms
	}
}
CONF
  "$caddy" run --adapter caddyfile --config "$1.conf" >"$1.log" 2>&1 &
  pids+=($!)
  # Until it knows which of them is away: its first report of that server.
  for _ in $(seq 200); do
    grep -q "127.0.0.1:$away.*refused" "$1.log" && break
    sleep 0.05
  done
  good=0 none=0 other=0
  for _ in $(seq "$2"); do
    read -r a b c < <(python3 clients.py click "$port")
    good=$((good + a)) none=$((none + b)) other=$((other + c))
    [ "$none" -eq 0 ] || break
  done
  echo "$1: $good answered by the server, $none times 503 by Caddy, $other other answers"
}

# As two requests must meet, more rounds until it is seen.
answers_with round_robin 10
robin=$none
answers_with random 2
random=$none
answers_with least_conn 2
[ "$robin" -gt 0 ] && [ "$random" -eq 0 ] && [ "$none" -eq 0 ] || { echo "CHANGED"; exit 1; }
