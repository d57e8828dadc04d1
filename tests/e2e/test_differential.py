"""The same random requests to Debian's etcd and to the server under test: answers are equal, byte
for byte, but for the ids in headers.

A failure names its seed: STEAD_SEED=N repeats it, STEAD_OPS=N changes its length.
"""
import os
import random

import grpc
import pytest

from harness.api import METHODS, Api, message, op_del, op_get, op_put, op_txn
from harness.marks import needs_peer
from harness.server import Server, peer_binary

SEEDS = [int(os.environ["STEAD_SEED"])] if "STEAD_SEED" in os.environ else [1, 2, 3]
OPS = int(os.environ.get("STEAD_OPS", 1500))

# No more than twelve: so many Go sorts in a stable way, and the order of equals is defined.
KEYS = [b"a", b"b", b"ab", b"a\0", b"a\xff", b"b\0\0", b"\0", b"\xff", b"\xff\xff", b"key/1", b"key/2",
        b"z" * 200]
ENDS = KEYS + [b"c", b"key", b"key/", b"key0", b"dir"]
VALUES = [b"", b"1", b"2", b"10", b"same", b"\0\xff", b"x" * 300]
LEASES = [101, 102, 103]

# Where 3.6 answers otherwise than 3.4, neither is asked.
SORT_TARGETS = ["KEY", "VERSION", "CREATE", "MOD", "VALUE"]
SORT_ORDERS = ["NONE", "ASCEND", "DESCEND"]


class Requests:
    """A stream of requests from one seed. The state it follows (revision, compaction) only makes
    its choices interesting."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.revision = 1
        self.compacted = 0

    def chance(self, p):
        return self.random.random() < p

    def key(self):
        return self.random.choice(KEYS) if self.chance(0.99) else b""

    def interval(self):
        """Fields key and range_end."""
        fields = dict(key=self.key())
        kind = self.random.random()
        if kind < 0.3:
            fields["range_end"] = self.random.choice(ENDS)
        elif kind < 0.4:
            fields["range_end"] = b"\0"
        elif kind < 0.45:
            fields = dict(key=b"\0", range_end=b"\0")
        return fields

    def some_revision(self):
        """Mostly a readable one; some compacted, future, zero or negative."""
        return self.random.randint(self.compacted - 2, self.revision + 1)

    def range_fields(self):
        f = self.interval()
        for p, name, value in (
                (0.3, "limit", lambda: self.random.randint(-1, 6)),
                (0.3, "revision", self.some_revision),
                (0.4, "sort_order", lambda: self.random.choice(SORT_ORDERS)),
                (0.4, "sort_target", lambda: self.random.choice(SORT_TARGETS)),
                (0.2, "serializable", lambda: True),
                (0.15, "keys_only", lambda: True),
                (0.1, "count_only", lambda: True),
                (0.1, "min_mod_revision", self.some_revision),
                (0.1, "max_mod_revision", self.some_revision),
                (0.1, "min_create_revision", self.some_revision),
                (0.1, "max_create_revision", self.some_revision)):
            if self.chance(p):
                f[name] = value()
        return f

    def put_fields(self):
        f = dict(key=self.key(), value=self.random.choice(VALUES))
        if self.chance(0.2):
            f["lease"] = self.random.choice(LEASES + [999])
        if self.chance(0.2):
            f["prev_kv"] = True
        if self.chance(0.1):
            f["ignore_value"] = True
            if self.chance(0.8):
                f["value"] = b""
        if self.chance(0.1):
            f["ignore_lease"] = True
            if self.chance(0.8):
                f["lease"] = 0
        return f

    def delete_fields(self):
        f = self.interval()
        if self.chance(0.4):
            f["prev_kv"] = True
        return f

    def compare(self):
        target = self.random.choice(["VERSION", "CREATE", "MOD", "VALUE", "LEASE"])
        result = self.random.choice(["EQUAL", "GREATER", "LESS", "NOT_EQUAL"])
        f = dict(target=target, result=result, **self.interval())
        union = {"VERSION": ("version", self.random.randint(0, 4)),
                 "CREATE": ("create_revision", self.some_revision()),
                 "MOD": ("mod_revision", self.some_revision()),
                 "VALUE": ("value", self.random.choice(VALUES)),
                 "LEASE": ("lease", self.random.choice(LEASES + [0]))}
        name, operand = union[target if self.chance(0.97) else "VERSION"]
        f[name] = operand
        return f

    def operation(self, depth):
        kind = self.random.random()
        if kind < 0.4:
            return op_put(**self.put_fields())
        if kind < 0.7:
            return op_get(**self.range_fields())
        if kind < 0.85 or depth == 0:
            fields = self.delete_fields()
            if fields.get("range_end") == b"\0":
                # Upstream dies of some: see test_txn_that_stops_upstream in test_txn.
                fields["range_end"] = b"\xff\xff\xff"
            return op_del(**fields)
        return op_txn(*self.txn_parts(depth - 1))

    def txn_parts(self, depth):
        return ([self.compare() for _ in range(self.random.randint(0, 2))],
                [self.operation(depth) for _ in range(self.random.randint(0, 4))],
                [self.operation(depth) for _ in range(self.random.randint(0, 3))])

    def next(self):
        """(method, fields)"""
        kind = self.random.random()
        if kind < 0.35:
            return "Put", self.put_fields()
        if kind < 0.65:
            return "Range", self.range_fields()
        if kind < 0.73:
            return "DeleteRange", self.delete_fields()
        if kind < 0.95:
            compare, then, other = self.txn_parts(2)
            return "Txn", dict(compare=compare, success=then, failure=other)
        if kind < 0.96:
            revision = self.random.randint(self.compacted - 1, self.revision + 2)
            return "Compact", dict(revision=revision, physical=self.chance(0.5))
        if kind < 0.975:
            return "LeaseGrant", dict(ID=self.random.choice(LEASES), TTL=9000)
        if kind < 0.985:
            return "LeaseRevoke", dict(ID=self.random.choice(LEASES))
        if kind < 0.995:
            return "LeaseLeases", {}
        return "HashKV", dict(revision=0)


def normalise(response):
    """Ids and terms differ between clusters; HashKV's hash and order of leases are the server's."""
    header = response.header
    if response.HasField("header"):
        header.cluster_id = header.member_id = header.raft_term = 0
    if response.DESCRIPTOR.name == "LeaseLeasesResponse":
        leases = sorted(x.ID for x in response.leases)
        del response.leases[:]
        for x in leases:
            response.leases.add(ID=x)
    if response.DESCRIPTOR.name == "HashKVResponse":
        response.hash = response.compact_revision = 0
        if "hash_revision" in response.DESCRIPTOR.fields_by_name:
            response.hash_revision = 0


def ask(api, method, body):
    """("ok", bytes, revision) or ("refused", code, text)."""
    path, _, response_name = METHODS[method]
    try:
        response = message(response_name).FromString(api.raw(path, body))
    except grpc.RpcError as e:
        return "refused", e.code().value[0], e.details()
    revision = response.header.revision
    normalise(response)
    return "ok", response.SerializeToString(deterministic=True), revision


def readable(method, answer):
    if answer[0] == "refused":
        return answer
    return answer[0], str(message(METHODS[method][2]).FromString(answer[1])), answer[2]


def compare_histories(ours, theirs):
    """Every event since the compaction, as a watcher sees it."""
    def events(api):
        now = api.Range(key=b"x").header.revision
        # A delete at the very revision of the compaction is there until the old data is gone.
        first = max(0, api.HashKV().compact_revision) + 1
        found = []
        if first > now:
            return found
        with api.watch() as w:
            w.create(b"\0", range_end=b"\0", start_revision=first, prev_kv=True)
            while not found or found[-1].kv.mod_revision < now:
                found += w.recv(10).events
        return [e.SerializeToString(deterministic=True) for e in found]
    assert events(ours) == events(theirs)


@needs_peer
@pytest.mark.parametrize("seed", SEEDS)
def test_random_requests_get_equal_answers(new_server, seed):
    under_test = new_server().start()
    peer = new_server(binary=peer_binary()).start()
    requests = Requests(seed)
    with Api(under_test.target) as ours, Api(peer.target) as theirs:
        for number in range(OPS):
            method, fields = requests.next()
            body = message(METHODS[method][1])(**fields).SerializeToString()
            a, b = ask(ours, method, body), ask(theirs, method, body)
            assert a == b, (f"seed {seed}, request {number}: {method} {fields}\n"
                            f"ours:   {readable(method, a)}\ntheirs: {readable(method, b)}")
            if a[0] == "ok":
                requests.revision = max(requests.revision, a[2])
                if method == "Compact":
                    requests.compacted = fields["revision"]
        compare_histories(ours, theirs)
    # The same once more, from disk.
    under_test.kill()
    peer.kill()
    under_test.start()
    peer.start()
    everything = message("etcdserverpb.RangeRequest")(key=b"\0", range_end=b"\0").SerializeToString()
    assert ask(under_test.api, "Range", everything) == ask(peer.api, "Range", everything)
    compare_histories(under_test.api, peer.api)


@needs_peer
def test_hashkv_equals_upstreams(new_server):
    """HashKV is over the bytes upstream stores, so that members of either make can compare."""
    servers = [new_server().start(), new_server(binary=peer_binary()).start()]
    hashes = []
    for s in servers:
        for i in range(50):
            s.api.Put(key=b"k%d" % (i % 9), value=b"%d" % i)
        s.api.DeleteRange(key=b"k1", range_end=b"k4")
        s.api.txn(then=[op_put(b"x", b"1"), op_put(b"y", b"2"), op_del(b"k5")])
        before = s.api.HashKV().hash
        s.api.Compact(revision=20, physical=True)
        hashes.append((before, s.api.HashKV().hash, s.api.HashKV(revision=30).hash))
    assert hashes[0] == hashes[1]
