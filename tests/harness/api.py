"""The v3 API spoken raw: messages are built at run time from src/wire/pb/*.proto, calls go through
grpcio, so that status codes, texts and single fields can be asserted exactly.

    api = Api("127.0.0.1:2379")
    api.Put(key=b"k", value=b"v")
    with refused(grpc.StatusCode.OUT_OF_RANGE, "etcdserver: mvcc: required revision ..."):
        api.Range(key=b"k", revision=10**6)
    with api.watch() as w:
        w.send(create_request=dict(key=b"k"))
        w.recv()
"""
import contextlib
import functools
import pathlib
import queue
import subprocess
import tempfile
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO_DIR = ROOT / "src/wire/pb"
PROTOS = ["kv.proto", "rpc.proto", "lock.proto", "election.proto", "health.proto"]
CALL_TIMEOUT_S = 10
STREAM_TIMEOUT_S = 5

# method: (path, request, response)
METHODS = {}


def _service(package, service, methods):
    for method, request, response in methods:
        METHODS[method] = (f"/{service}/{method}", f"{package}.{request}", f"{package}.{response}")


def _same(*names):
    return [(n, n + "Request", n + "Response") for n in names]


_service("etcdserverpb", "etcdserverpb.KV",
         _same("Range", "Put", "DeleteRange", "Txn") +
         [("Compact", "CompactionRequest", "CompactionResponse")])
_service("etcdserverpb", "etcdserverpb.Watch", _same("Watch"))
_service("etcdserverpb", "etcdserverpb.Lease",
         _same("LeaseGrant", "LeaseRevoke", "LeaseKeepAlive", "LeaseTimeToLive", "LeaseLeases"))
_service("etcdserverpb", "etcdserverpb.Cluster", _same("MemberList"))
_service("etcdserverpb", "etcdserverpb.Maintenance",
         _same("Alarm", "Status", "Hash", "HashKV", "Snapshot", "MoveLeader") +
         [("Defragment", "DefragmentRequest", "DefragmentResponse")])
_service("etcdserverpb", "etcdserverpb.Auth", [("AuthStatus", "AuthStatusRequest", "AuthStatusResponse")])
_service("v3lockpb", "v3lockpb.Lock", _same("Lock", "Unlock"))
_service("v3electionpb", "v3electionpb.Election",
         _same("Campaign", "Proclaim", "Leader", "Resign") +
         [("Observe", "LeaderRequest", "LeaderResponse")])
_service("grpc.health.v1", "grpc.health.v1.Health",
         [("Check", "HealthCheckRequest", "HealthCheckResponse")])


@functools.lru_cache(maxsize=None)
def _pool():
    """Descriptors of our own .proto files, in a pool of their own: python3-etcd3 registers files of
    the same names in the default one."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"-I{PROTO_DIR}", f"--descriptor_set_out={out.name}", *PROTOS],
                       check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read())
    pool = descriptor_pool.DescriptorPool()
    for f in files.file:
        pool.Add(f)
    return pool


@functools.lru_cache(maxsize=None)
def message(full_name):
    """The message class, by full name: message("etcdserverpb.PutRequest")."""
    return message_factory.MessageFactory(_pool()).GetPrototype(
        _pool().FindMessageTypeByName(full_name))


@contextlib.contextmanager
def refused(code, text=None):
    """The calls inside must fail with exactly this status (and text)."""
    try:
        yield
    except grpc.RpcError as e:
        assert e.code() == code, f"{e.code()} {e.details()!r}, expected {code} {text!r}"
        assert text is None or e.details() == text, f"{e.details()!r}, expected {text!r}"
        return
    raise AssertionError(f"the call succeeded, expected {code} {text!r}")


class Stream:
    """A stream both ways. recv() raises queue.Empty when nothing arrives in time, StopIteration at
    the end, grpc.RpcError when the server refused."""

    def __init__(self, method, request_class):
        self._request_class = request_class
        self._out = queue.Queue()
        self._in = queue.Queue()
        self._call = method(iter(self._out.get, None))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        try:
            for m in self._call:
                self._in.put(m)
            self._in.put(StopIteration())
        except grpc.RpcError as e:
            self._in.put(e)

    def send(self, *args, **fields):
        self._out.put(args[0] if args else self._request_class(**fields))

    def recv(self, timeout=STREAM_TIMEOUT_S):
        item = self._in.get(timeout=timeout)
        if isinstance(item, Exception):
            raise item
        return item

    def silent(self, seconds=0.3):
        """True when nothing arrives for that long."""
        try:
            self._in.put(self.recv(seconds))
            return False
        except queue.Empty:
            return True

    def half_close(self):
        self._out.put(None)

    def close(self):
        self._call.cancel()
        self._out.put(None)
        self._reader.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Watch(Stream):
    def create(self, key, **fields):
        """Creates a watch and returns the server's answer to that."""
        self.send(create_request=dict(key=key, **fields))
        return self.recv()

    def events(self, count, timeout=STREAM_TIMEOUT_S):
        """The next events, exactly that many, however they are spread over messages."""
        got = []
        while len(got) < count:
            got += self.recv(timeout).events
        assert len(got) == count, f"{len(got)} events, expected {count}"
        return got


class Api:
    def __init__(self, target, credentials=None, options=()):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                   ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), *options]
        self.target = target
        self._channel = (grpc.secure_channel(target, credentials, options) if credentials
                         else grpc.insecure_channel(target, options))

    def close(self):
        self._channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __getattr__(self, name):
        """api.Put(key=..., value=...): a unary call of METHODS, by its name."""
        if name not in METHODS:
            raise AttributeError(name)
        path, request, response = METHODS[name]
        call = self._channel.unary_unary(path, message(request).SerializeToString,
                                         message(response).FromString)

        def unary(*args, timeout=CALL_TIMEOUT_S, metadata=None, **fields):
            return call(args[0] if args else message(request)(**fields), timeout=timeout,
                        metadata=metadata)
        setattr(self, name, unary)
        return unary

    def future(self, method, /, timeout=CALL_TIMEOUT_S, **fields):
        """The same call in the background: a grpc future."""
        path, request, response = METHODS[method]
        return self._channel.unary_unary(
            path, message(request).SerializeToString,
            message(response).FromString).future(message(request)(**fields), timeout=timeout)

    def raw(self, path, body, timeout=CALL_TIMEOUT_S):
        """Any path, bytes in and out."""
        return self._channel.unary_unary(path)(body, timeout=timeout)

    def _stream(self, name, kind=Stream):
        path, request, response = METHODS[name]
        method = self._channel.stream_stream(path, message(request).SerializeToString,
                                             message(response).FromString)
        return kind(method, message(request))

    def watch(self):
        return self._stream("Watch", Watch)

    def keep_alive(self):
        return self._stream("LeaseKeepAlive")

    def observe(self, name):
        return self._server_stream("Observe", name=name)

    def snapshot(self):
        return self._server_stream("Snapshot")

    def _server_stream(self, method, /, **fields):
        path, request, response = METHODS[method]
        call = self._channel.unary_stream(path, message(request).SerializeToString,
                                          message(response).FromString)
        return call(message(request)(**fields), timeout=60)

    # ---- txn, in short ------------------------------------------------------------------------

    def txn(self, compare=(), then=(), other=()):
        return self.Txn(compare=compare, success=then, failure=other)


def op_put(key, value=b"", **f):
    return dict(request_put=dict(key=key, value=value, **f))


def op_get(key, **f):
    return dict(request_range=dict(key=key, **f))


def op_del(key, **f):
    return dict(request_delete_range=dict(key=key, **f))


def op_txn(compare=(), then=(), other=()):
    return dict(request_txn=dict(compare=compare, success=then, failure=other))


def cmp(key, target, result, operand=None, **f):
    """cmp(b"k", "MOD", "GREATER", 0): target VERSION CREATE MOD VALUE LEASE."""
    union = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision",
             "VALUE": "value", "LEASE": "lease"}[target]
    if operand is not None:
        f[union] = operand
    return dict(key=key, target=target, result=result, **f)


def prefix_end(prefix):
    """The range_end that makes [prefix, end) all keys beginning with prefix."""
    prefix = bytearray(prefix)
    while prefix:
        if prefix[-1] < 255:
            prefix[-1] += 1
            return bytes(prefix)
        prefix.pop()
    return b"\0"
