"""What a hostile or broken peer may do: it gets a protocol error or is cut off, others notice
nothing. Every test ends with a call of a well-behaved client, in time."""
import pathlib
import re
import socket
import time

import grpc
import pytest

from harness.api import Api, message, refused
from harness.h2raw import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING,
                           PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, Peer,
                           frame, grpc_headers, grpc_message, hpack)
from harness.marks import OURS, needs_ours

PUT, RANGE = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"
WATCH = "/etcdserverpb.Watch/Watch"
PROMPT_S = 2


@pytest.fixture(autouse=True)
def others_are_served(shared):
    yield
    started = time.monotonic()
    with Api(shared.target) as api:
        api.Put(key=b"others", value=b"served")
        assert api.Range(key=b"others").kvs[0].value == b"served"
    assert time.monotonic() - started < PROMPT_S


def rss(server):
    text = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def open_files(server):
    return len(list(pathlib.Path(f"/proc/{server.pid}/fd").iterdir()))


# ---- connections that break the protocol -----------------------------------------------------------


BROKEN = {
    "garbage": b"\xff" * 100,
    "almost the preface": PREFACE[:-1] + b"X" + frame(SETTINGS),
    "data on stream 0": PREFACE + frame(SETTINGS) + frame(DATA, 0, 0, b"x"),
    "data on an idle stream": PREFACE + frame(SETTINGS) + frame(DATA, 0, 1, b"x"),
    "headers on an even stream":
        PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 2, grpc_headers(PUT)),
    "frame over the maximum size": PREFACE + frame(SETTINGS) + frame(DATA, 0, 1, b"x" * 20000),
    "broken header compression":
        PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
    "continuation out of nowhere": PREFACE + frame(SETTINGS) + frame(CONTINUATION, 4, 1, b""),
    "headers interrupted by a ping":
        PREFACE + frame(SETTINGS) + frame(HEADERS, 0, 1, grpc_headers(PUT)) +
        frame(PING, 0, 0, b"x" * 8),
    "settings of a wrong size": PREFACE + frame(SETTINGS, 0, 0, b"x" * 5),
    "settings acknowledgement with payload": PREFACE + frame(SETTINGS, ACK, 0, b"x" * 6),
    "ping of a wrong size": PREFACE + frame(SETTINGS) + frame(PING, 0, 0, b"x"),
    "push from a client":
        PREFACE + frame(SETTINGS) + frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2" + grpc_headers(PUT)),
    "window update of nothing on the connection":
        PREFACE + frame(SETTINGS) + frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"),
    "window overflow":
        PREFACE + frame(SETTINGS) + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
    "initial window over the limit":
        PREFACE + frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"),
    "reset of an idle stream": PREFACE + frame(SETTINGS) + frame(RST_STREAM, 0, 99, b"\0\0\0\0"),
    "priority of a wrong size": PREFACE + frame(SETTINGS) + frame(PRIORITY, 0, 1, b"x"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_connection(shared, name):
    with Peer(shared, preface=False) as p:
        p.send(BROKEN[name])
        # 3.4 overlooks some of these; to it this test is only about the others.
        ended = p.ended(1)
    if OURS and name not in ("priority of a wrong size", "frame over the maximum size"):
        assert ended, "the connection goes on"


# ---- calls that are wrong, on connections that are right -----------------------------------------------


def outcome(peer, stream):
    """The end of one stream: ("status", N) by trailers, ("reset", CODE), or ("closed", None). Header
    fields are looked for as plain text, so a compressing server shows as ("status", None)."""
    for kind, flags, number, payload in peer.frames():
        if kind == GOAWAY:
            return "goaway", int.from_bytes(payload[4:8], "big")
        if number != stream:
            continue
        if kind == RST_STREAM:
            return "reset", int.from_bytes(payload, "big")
        if kind == HEADERS and flags & END_STREAM:
            return "status", None
        if kind == DATA and flags & END_STREAM:
            return "data", None
    return "closed", None


BAD_CALLS = {
    "message longer than the body": (grpc_message(b"abc", length=100), PUT),
    "message announced huge": (grpc_message(b"abc", length=0xffffffff), PUT),
    "no message": (b"", PUT),
    "half a prefix": (b"\0\0", PUT),
    "two messages": (grpc_message(b"\x0a\x01a") * 2, PUT),
    "compressed without an encoding": (grpc_message(b"\x0a\x01a", compressed=1), PUT),
    "flag that does not exist": (grpc_message(b"\x0a\x01a", compressed=7), PUT),
    "bad protobuf": (grpc_message(b"\x0a\xff\xff\xff\xff\xff"), PUT),
    "truncated field": (grpc_message(b"\x0a\x7fabc"), PUT),
    "wire type that does not exist": (grpc_message(b"\x0f"), RANGE),
    "field number 0": (grpc_message(b"\x02\x01a"), RANGE),
    "endless varint": (grpc_message(b"\x18" + b"\xff" * 20), RANGE),
    "groups": (grpc_message(b"\x0b" * 1000), RANGE),
    "bad protobuf on a stream": (grpc_message(b"\x0a\xff\xff"), WATCH),
    "empty watch request": (grpc_message(b""), WATCH),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_call_ends_alone(shared, name):
    """The call ends with an error; a good one on the same connection is answered."""
    body, path = BAD_CALLS[name]
    with Peer(shared) as p:
        p.call(1, path, body)
        good = message("etcdserverpb.RangeRequest")(key=b"k").SerializeToString()
        p.call(3, RANGE, grpc_message(good))
        ends = {}
        for kind, flags, number, payload in p.frames(timeout=1.5):
            assert kind != GOAWAY, "the whole connection was ended for one bad call"
            if kind == RST_STREAM or flags & END_STREAM and kind in (HEADERS, DATA):
                ends[number] = kind
            if {1, 3} <= set(ends):
                break
        assert 3 in ends, "the good call was not answered"
        if path != WATCH:
            assert 1 in ends, "the bad call was not ended"


def test_bad_protobuf_has_a_status(api):
    for body in (b"\x0a\xff\xff\xff\xff\xff", b"\x0f", b"\x0a\x7fabc"):
        with refused(grpc.StatusCode.INTERNAL):
            api.raw(PUT, body)


def test_unknown_fields_are_ignored(api):
    good = message("etcdserverpb.PutRequest")(key=b"unknown-fields", value=b"v").SerializeToString()
    api.raw(PUT, good + b"\xc2\x3e\x03abc" + b"\xc8\x3e\x05" + b"\xcd\x3eabcd" + b"\xc9\x3eabcdefgh")
    assert api.Range(key=b"unknown-fields").count == 1


@needs_ours
@pytest.mark.parametrize("headers", [
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", PUT.encode()),
     (b"content-type", b"application/grpc")],
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", PUT.encode()),
     (b"content-type", b"text/html")],
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b"content-type",
                                                                      b"application/grpc")],
    [(b":method", b"POST"), (b":path", PUT.encode())],
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", PUT.encode()), (b"Upper", b"x")],
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", PUT.encode()), (b"connection", b"x")],
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", PUT.encode()), (b":bogus", b"x")],
])
def test_wrong_headers_are_refused(shared, headers):
    with Peer(shared) as p:
        p.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, hpack(*headers)))
        assert outcome(p, 1)[0] in ("status", "reset", "data", "goaway")


# ---- too much of everything -------------------------------------------------------------------------------


def test_huge_headers(shared):
    with Peer(shared) as p:
        fields = [(b"x-%d" % i, b"y" * 1000) for i in range(10)]
        block = grpc_headers(PUT, *fields)
        p.send(frame(HEADERS, 0, 1, block))
        for _ in range(3000):  # 30 MB of CONTINUATION
            if not p.send(frame(CONTINUATION, 0, 1, hpack(*fields))):
                break
        else:
            assert not OURS or p.ended(3)


def test_continuation_flood_of_empty_frames(shared):
    with Peer(shared) as p:
        p.send(frame(HEADERS, 0, 1, grpc_headers(PUT)))
        flood = frame(CONTINUATION, 0, 1, b"") * 1000
        for _ in range(100):
            if not p.send(flood):
                break


@needs_ours
def test_continuation_flood_is_cut_off(shared):
    with Peer(shared) as p:
        p.send(frame(HEADERS, 0, 1, grpc_headers(PUT)))
        flood = frame(CONTINUATION, 0, 1, b"") * 1000
        assert not all(p.send(flood) for _ in range(100)) or p.ended(3)


@needs_ours
@pytest.mark.parametrize("name,one", [
    ("ping", frame(PING, 0, 0, b"x" * 8)),
    ("settings", frame(SETTINGS, 0, 0, b"\0\3\0\0\0\x64")),
])
def test_control_flood_is_cut_off(shared, name, one):
    with Peer(shared) as p:
        flood = one * 1000
        assert not all(p.send(flood) for _ in range(100)) or p.ended(3)


@needs_ours
def test_rapid_reset_is_cut_off(shared):
    """CVE-2023-44487."""
    good = grpc_message(message("etcdserverpb.RangeRequest")(key=b"k").SerializeToString())
    with Peer(shared) as p:
        sent = True
        for i in range(20000):
            stream = 2 * i + 1
            sent = p.send(frame(HEADERS, END_HEADERS, stream, grpc_headers(RANGE)) +
                          frame(DATA, END_STREAM, stream, good) +
                          frame(RST_STREAM, 0, stream, b"\0\0\0\x08"))
            if not sent:
                break
        assert not sent or p.ended(3)


def test_answers_nobody_reads_do_not_pile_up(shared):
    """A client asks for megabytes over and over and never reads: its window closes, and the server
    keeps a bounded amount."""
    with Api(shared.target) as api:
        api.Put(key=b"large", value=b"x" * 1_000_000)
    before = rss(shared)
    good = grpc_message(message("etcdserverpb.RangeRequest")(key=b"large").SerializeToString())
    peers = []
    for _ in range(4):
        p = Peer(shared)
        for i in range(90):
            p.call(2 * i + 1, RANGE, good)
        peers.append(p)
    time.sleep(1)
    if OURS:
        assert rss(shared) - before < 160 << 20
    for p in peers:
        p.close()


def test_many_streams_that_never_end(shared):
    with Peer(shared) as p:
        for i in range(2000):
            if not p.send(frame(HEADERS, END_HEADERS, 2 * i + 1, grpc_headers(PUT))):
                break
        time.sleep(0.2)


@needs_ours
def test_streams_beyond_the_limit_are_refused(shared):
    """What the server's settings allow works, more is REFUSED_STREAM (7) or ends the connection."""
    with Peer(shared) as p:
        for i in range(5000):
            if not p.send(frame(HEADERS, END_HEADERS, 2 * i + 1, grpc_headers(PUT))):
                break
        ends = [f for f in p.frames(timeout=1) if f[0] in (RST_STREAM, GOAWAY)]
        assert ends, "five thousand open streams were accepted"


# ---- slow and half-open ---------------------------------------------------------------------------------------


def test_slow_and_silent_connections(shared):
    """Half a preface, a preface and nothing, half a request, byte by byte: all at once, many."""
    start = PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, grpc_headers(PUT))
    sockets = []
    for i in range(300):
        s = socket.create_connection(("127.0.0.1", shared.port))
        s.sendall(start[:i % len(start)])
        sockets.append(s)
    half = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "
    for i in range(100):
        s = socket.create_connection(("127.0.0.1", shared.port))
        s.sendall(half[:i % len(half)])
        sockets.append(s)
    with Api(shared.target) as api:
        started = time.monotonic()
        for _ in range(20):
            api.Put(key=b"k", value=b"v")
        assert time.monotonic() - started < PROMPT_S
    for s in sockets:
        s.close()


def test_vanished_connections_are_forgotten(shared):
    before = open_files(shared)
    for _ in range(5):
        peers = [Peer(shared) for _ in range(50)]
        for p in peers:
            p.call(1, WATCH, grpc_message(b"\x0a\x03\x0a\x01k"), flags=0)
        for p in peers:
            p.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            p.close()  # reset, not a polite end
    deadline = time.monotonic() + 10
    while open_files(shared) > before + 5:
        assert time.monotonic() < deadline, f"{open_files(shared)} open files, {before} before"
        time.sleep(0.1)


@needs_ours
def test_half_a_request_is_cut_off_in_the_end(shared):
    """LIMIT_HEADERS_MS: 20 seconds from a request's first byte to its last."""
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        started = time.monotonic()
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        assert 5 < time.monotonic() - started < 29


def test_connection_flood(shared):
    sockets = []
    for _ in range(800):
        sockets.append(socket.create_connection(("127.0.0.1", shared.port)))
    with Api(shared.target) as api:
        api.Put(key=b"k", value=b"v")
    for s in sockets:
        s.close()


# ---- deadlines -----------------------------------------------------------------------------------------------


def test_deadline_is_kept(api):
    lease = api.LeaseGrant(TTL=100).ID
    api.Lock(name=b"deadline", lease=lease)
    started = time.monotonic()
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
        api.Lock(name=b"deadline", lease=api.LeaseGrant(TTL=100).ID, timeout=0.5)
    assert time.monotonic() - started < 3


@needs_ours
def test_deadline_is_kept_by_the_server_itself(shared, api):
    api.Lock(name=b"deadline2", lease=api.LeaseGrant(TTL=100).ID)
    lock = message("v3lockpb.LockRequest")(name=b"deadline2").SerializeToString()
    with Peer(shared) as p:
        p.send(frame(HEADERS, END_HEADERS, 1,
                     grpc_headers("/v3lockpb.Lock/Lock", (b"grpc-timeout", b"300m"))) +
               frame(DATA, END_STREAM, 1, grpc_message(lock)))
        started = time.monotonic()
        assert outcome(p, 1)[0] in ("status", "reset")
        assert 0.2 < time.monotonic() - started < 3
