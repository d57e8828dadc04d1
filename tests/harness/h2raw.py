"""HTTP/2 by hand, as wrong as a test wants it: frames over a socket, headers without compression."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    n = len(payload) if length is None else length
    return n.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def hpack(*fields):
    """Literal fields, never indexed, no Huffman."""
    out = b""
    for name, value in fields:
        out += b"\x10"
        for text in (name, value):
            out += _integer(len(text)) + text
    return out


def _integer(n):
    """A 7-bit prefix integer (RFC 7541, 5.1)."""
    if n < 127:
        return bytes([n])
    out, n = b"\x7f", n - 127
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def grpc_headers(path, *extra, method=b"POST"):
    return hpack((b":method", method), (b":scheme", b"http"), (b":path", path.encode()),
                 (b":authority", b"x"), (b"content-type", b"application/grpc"), (b"te", b"trailers"),
                 *extra)


def grpc_message(body, length=None, compressed=0):
    return struct.pack(">BI", compressed, len(body) if length is None else length) + body


class Peer:
    """One raw connection. Reads are for looking whether and how the server ended it."""

    def __init__(self, server, preface=True):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        if preface:
            self.send(PREFACE + frame(SETTINGS))

    def send(self, data):
        """False when the server has closed its side meanwhile."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def call(self, stream, path, data, flags=END_STREAM, **kw):
        return self.send(frame(HEADERS, END_HEADERS, stream, grpc_headers(path, **kw)) +
                         frame(DATA, flags, stream, data))

    def frames(self, until=None, timeout=5):
        """(kind, flags, stream, payload) as they come; ends at the end of the connection, after
        `until` says so of one, or in silence."""
        self.socket.settimeout(timeout)
        data = b""
        try:
            while True:
                while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
                    chunk = self.socket.recv(65536)
                    if not chunk:
                        return
                    data += chunk
                n = int.from_bytes(data[:3], "big")
                f = (data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7fffffff, data[9:9 + n])
                data = data[9 + n:]
                yield f
                if until and until(f):
                    return
        except OSError:
            return

    def ended(self, timeout=5):
        """True when the server ended the connection (GOAWAY or close) in that time."""
        self.socket.settimeout(timeout)
        for f in self.frames(timeout=timeout):
            if f[0] == GOAWAY:
                return True
        self.socket.settimeout(0.01)
        try:
            return self.socket.recv(1) == b""
        except socket.timeout:
            return False
        except OSError:
            return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
