#!/usr/bin/env bash
# One POST, taken by two servers, though the balancer never repeats a POST and curl was not asked to.
#
# Debian 12: haproxy 2.6.12-1+deb12u4, apache2 2.4.71-1~deb12u1, curl 7.88.1-10+deb12u15
# (apt-get install haproxy apache2-bin curl python3).
#
# Of two servers behind the balancer one takes a POST and dies before it answers. One would guess that the
# client gets 502, and it does where this is the first request of its connection. On a connection that it has
# used before, HAProxy and Apache close it without a byte. RFC 9112 lets them; and lets curl take that for a
# connection that had timed out, and send the request again on another, without --retry and without a word.
# Over HTTP/2 HAProxy resets even the first request with REFUSED_STREAM, which RFC 9113 has for requests that
# nobody has looked at, and curl sends it again.
#
# Seen, with the status that curl had and how many servers took the order:
#     haproxy  first of its connection    502  1
#     haproxy  second of its connection   200  2
#     haproxy  first, HTTP/2              200  2
#     apache   first of its connection    502  1
#     apache   second of its connection   200  2
# `option httpclose` (HAProxy), `KeepAlive Off` (Apache) and no HTTP/2 make all of them 502 and 1.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
started=()
stop() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    wait
    started=()
}
trap 'stop; rm -rf "$folder"' EXIT
haproxy -v | head -1
apache2 -v | head -1
curl --version | head -1

# Writes down the POSTs that it takes. Whichever server gets the fatal one first dies of it.
cat >"$folder/server.py" <<'PYTHON'
import os, socketserver, sys
from http.server import BaseHTTPRequestHandler

class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open(sys.argv[2], "a+") as taken:
            taken.seek(0)
            is_first = body not in taken.read().split()
            print(body, file=taken, flush=True)
        if body == "fatal" and is_first:
            os._exit(1)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
PYTHON
read -r balancer one two < <(python3 -c '
import socket
taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(port.getsockname()[1] for port in taken))')
cat >"$folder/haproxy.cfg" <<CONF
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
listen balancer
    bind 127.0.0.1:$balancer
    server one 127.0.0.1:$one
    server two 127.0.0.1:$two
CONF
modules=/usr/lib/apache2/modules
cat >"$folder/apache.conf" <<CONF
ServerName localhost
Listen 127.0.0.1:$balancer
PidFile apache.pid
ErrorLog error.log
DefaultRuntimeDir .
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule slotmem_shm_module $modules/mod_slotmem_shm.so
LoadModule proxy_module $modules/mod_proxy.so
LoadModule proxy_http_module $modules/mod_proxy_http.so
LoadModule proxy_balancer_module $modules/mod_proxy_balancer.so
LoadModule lbmethod_byrequests_module $modules/mod_lbmethod_byrequests.so
<Proxy "balancer://servers">
    BalancerMember "http://127.0.0.1:$one"
    BalancerMember "http://127.0.0.1:$two"
</Proxy>
ProxyPass "/" "balancer://servers/"
CONF

changed=0
# try BALANCER WHAT "EXPECTED" OPTION BODY...: sends the bodies on one connection, the fatal one last.
try() {
    local name=$1 what=$2 expected=$3 option=$4 arguments=()
    shift 4
    : >"$folder/taken"
    for port in "$one" "$two"; do
        python3 "$folder/server.py" "$port" "$folder/taken" &
        started+=($!)
        until curl -s -o /dev/null "http://127.0.0.1:$port"; do sleep 0.1; done
    done
    case $name in
        haproxy) haproxy -f "$folder/haproxy.cfg" 2>/dev/null & ;;
        apache) apache2 -d "$folder" -f "$folder/apache.conf" -DFOREGROUND 2>/dev/null & ;;
    esac
    started+=($!)
    until (: <"/dev/tcp/127.0.0.1/$balancer") 2>/dev/null; do sleep 0.1; done
    for body in "$@"; do
        arguments+=(--next -s "$option" -o /dev/null -w '%{http_code}\n' -d "$body" "http://127.0.0.1:$balancer/")
    done
    local seen
    seen="$(curl "${arguments[@]:1}" | tail -1) $(grep -c fatal "$folder/taken")"
    printf '%-8s %-26s %s\n' "$name" "$what" "$seen"
    [ "$seen" = "$expected" ] || changed=1
    stop
}

try haproxy "first of its connection" "502 1" --http1.1 fatal
try haproxy "second of its connection" "200 2" --http1.1 harmless fatal
try haproxy "first, HTTP/2" "200 2" --http2-prior-knowledge fatal
try apache "first of its connection" "502 1" --http1.1 fatal
try apache "second of its connection" "200 2" --http1.1 harmless fatal
exit "$changed"
