"""One generator for all: connections that each have one message outstanding, on one thread.

A protocol says how a connection greets, what a message is, and what of the bytes that came back is
an answer. It costs some 25 us a message, well below what three processes do for one."""

import json
import select
import socket
import struct
import time

PAYLOAD = 500


class Http:
    """POST of a body; any answer with this status is an acknowledgement."""

    def __init__(self, path, body, status):
        self.path, self.body, self.status = path, body, status

    def greet(self, connection):
        pass

    def message(self, number):
        body = self.body(number)
        return (f"POST {self.path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def answers(self, connection):
        """(good, bad) answers in connection.input, which are taken from it"""
        good = bad = 0
        while (end := connection.input.find(b"\r\n\r\n")) >= 0:
            head = connection.input[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(connection.input) < end + 4 + length:
                break
            if int(head[9:12]) == self.status:
                good += 1
            else:
                bad += 1
            connection.input = connection.input[end + 4 + length:]
        return good, bad


class JetStream:
    """PUB with a reply subject; the stream's acknowledgement comes back as a message."""

    def __init__(self, subject):
        self.subject, self.payload = subject, b"x" * PAYLOAD

    def greet(self, connection):
        connection.wait(b"\r\n")
        connection.inbox = f"_INBOX.{connection.number}.{time.time_ns()}"
        connection.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
                                  + f"SUB {connection.inbox}.* 1\r\nPING\r\n".encode())
        connection.wait(b"PONG\r\n")

    def pub(self, connection, subject, payload):
        connection.socket.sendall(f"PUB {subject} {connection.inbox}.r {len(payload)}\r\n".encode() + payload + b"\r\n")

    def message_on(self, connection):
        return f"PUB {self.subject} {connection.inbox}.r {PAYLOAD}\r\n".encode() + self.payload + b"\r\n"

    def answers(self, connection):
        good = bad = 0
        while (end := connection.input.find(b"\r\n")) >= 0:
            line = connection.input[:end].split()
            if line and line[0] in (b"MSG", b"HMSG"):
                length = int(line[-1])
                if len(connection.input) < end + 4 + length:
                    break
                body = connection.input[end + 2:end + 2 + length]
                if line[0] == b"MSG" and b'"seq"' in body and b'"error"' not in body:
                    good += 1
                else:
                    bad += 1
                connection.input = connection.input[end + 4 + length:]
            else:
                if line and line[0] == b"PING":
                    connection.socket.sendall(b"PONG\r\n")
                connection.input = connection.input[end + 2:]
        return good, bad


class Etcd:
    """gRPC etcdserverpb.KV/Put over HTTP/2 with prior knowledge; a stream whose trailers say
    grpc-status 0 is an acknowledgement (the server sends DATA only then)."""

    def __init__(self):
        self.value = b"x" * PAYLOAD

    def greet(self, connection):
        connection.stream, connection.taken, connection.data = 1, 0, set()
        connection.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))

    def message_on(self, connection, key=None):
        key = key or f"click-{connection.number}-{connection.stream}".encode()
        put = field(1, key) + field(2, self.value)
        stream, connection.stream = connection.stream, connection.stream + 2
        head = b"".join(literal(name, value) for name, value in (
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/etcdserverpb.KV/Put"), (b":authority", b"a"),
            (b"te", b"trailers"), (b"content-type", b"application/grpc")))
        return frame(1, 4, stream, head) + frame(0, 1, stream, b"\0" + struct.pack(">I", len(put)) + put)

    def answers(self, connection):
        good = bad = 0
        while len(connection.input) >= 9:
            length = int.from_bytes(connection.input[:3], "big")
            if len(connection.input) < 9 + length:
                break
            kind, flags, stream = connection.input[3], connection.input[4], int.from_bytes(connection.input[5:9], "big")
            payload = connection.input[9:9 + length]
            connection.input = connection.input[9 + length:]
            if kind == 4 and not flags & 1:
                connection.socket.sendall(frame(4, 1, 0, b""))
            elif kind == 6 and not flags & 1:
                connection.socket.sendall(frame(6, 1, 0, payload))
            elif kind == 0 and length:
                connection.data.add(stream)
                connection.taken += length
                if connection.taken > 16_384:
                    connection.socket.sendall(frame(8, 0, 0, struct.pack(">I", connection.taken)))
                    connection.taken = 0
            elif kind == 3 or kind == 1 and flags & 1:
                if stream in connection.data:
                    connection.data.discard(stream)
                    good += 1
                else:
                    bad += 1
            elif kind == 7:
                raise ConnectionError("GOAWAY")
        return good, bad


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def varint(value):
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))


def field(number, value):
    return bytes((number << 3 | 2,)) + varint(len(value)) + value


def literal(name, value):
    """HPACK, without an index and without Huffman's code"""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


class Connection:
    def __init__(self, protocol, port, number):
        self.protocol, self.number, self.input = protocol, number, b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol.greet(self)

    def wait(self, end):
        while end not in self.input:
            more = self.socket.recv(65_536)
            if not more:
                raise ConnectionError("closed")
            self.input += more
        self.input = b""

    def send(self, number):
        protocol = self.protocol
        self.sent = time.monotonic()
        self.socket.sendall(protocol.message(number) if isinstance(protocol, Http) else protocol.message_on(self))

    def take(self):
        more = self.socket.recv(65_536)
        if not more:
            raise ConnectionError("closed")
        self.input += more
        return self.protocol.answers(self)


def run(protocol, ports, connections, seconds):
    """Messages as fast as they are answered: (acknowledged a second, refused, sorted latencies in s)"""
    all_of_them = [Connection(protocol, ports[n % len(ports)], n) for n in range(connections)]
    poll = select.epoll()
    by_fd = {one.socket.fileno(): one for one in all_of_them}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    latencies, refused, number = [], 0, 0
    begin = time.monotonic()
    for one in all_of_them:
        one.send(number)
        number += 1
    while (now := time.monotonic()) < begin + seconds:
        for fd, _ in poll.poll(1):
            one = by_fd[fd]
            good, bad = one.take()
            refused += bad
            if good + bad:
                if good:
                    latencies.append(time.monotonic() - one.sent)
                one.send(number)
                number += 1
    for one in all_of_them:
        one.socket.close()
    latencies.sort()
    return len(latencies) / (now - begin), refused, latencies


def until_acknowledged(protocol, port, limit_s=60):
    """Tries every 20 ms over one connection, without waiting for the try before; s until the first
    acknowledgement, and how many were refused before it"""
    begin = time.monotonic()
    refused, connection, number = 0, None, int(begin * 1000) % 1_000_000_000
    poll = None
    while time.monotonic() - begin < limit_s:
        try:
            if connection is None:
                connection = Connection(protocol, port, number)
                poll = select.epoll()
                poll.register(connection.socket.fileno(), select.EPOLLIN)
            number += 1
            connection.send(number)
            for _ in poll.poll(0.02):
                good, bad = connection.take()
                refused += bad
                if good:
                    connection.socket.close()
                    return time.monotonic() - begin, refused
            time.sleep(0.005)
        except OSError:
            connection = None
            time.sleep(0.02)
    raise SystemExit(f"no acknowledgement within {limit_s} s")


def ask(port, path, body=None):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST" if body is not None else "GET", path, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()
