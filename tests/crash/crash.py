#!/usr/bin/python3
"""crash: kill -9 at random moments under load, restart, and account for every revision.

usage: crash.py [--rounds N] [--seed S] [--writers N] [--report FILE] [--keep]

Each round lets several writers put, delete, attach leases and change two keys in one transaction,
kills the server at a random moment (sometimes again while it recovers), restarts it and holds its
history against what the writers know:

  - every acknowledged write is in the history at the revision its answer named, once, whole;
  - a write without an answer is there whole or not at all (each writer has at most one such);
  - revisions are contiguous, and nothing is in the history that nobody wrote;
  - the current state, and states at random old revisions, are what the history adds up to;
  - acknowledged leases are there.

The seed fixes the choices, not the timing: a failure keeps the data directory for inspection.
"""
import argparse
import json
import os
import pathlib
import random
import sys
import threading
import time

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import grpc  # noqa: E402

from harness.api import Api, cmp, op_del, op_put  # noqa: E402
from harness.server import Server  # noqa: E402

KEYS_PER_WRITER = 20
LOAD_SECONDS = (0.1, 1.2)
KILL_IN_RECOVERY = 0.2  # share of rounds that are killed again while starting
EVERYTHING = dict(key=b"\0", range_end=b"\0")


class Failure(Exception):
    pass


def check(good, text):
    if not good:
        raise Failure(text)


class Write:
    """What one request would change: {key: value, or None for a delete}."""

    def __init__(self, changes, optional=()):
        self.changes = changes
        self.optional = set(optional)  # keys whose delete has no event if they are not there
        self.revision = None           # once acknowledged with an effect


class Writer(threading.Thread):
    """Writes to keys of its own, one request at a time, until the server goes away."""

    def __init__(self, number, target, seed, known):
        super().__init__(daemon=True)
        self.prefix = b"w%d/" % number
        self.target = target
        self.random = random.Random(seed)
        self.known = known  # its keys as of now: {key: value}
        self.acknowledged = []
        self.leases = []
        self.open = None    # the write without an answer
        self.error = None

    def run(self):
        with Api(self.target) as api:
            try:
                while True:
                    self.step(api)
            except grpc.RpcError as e:
                if e.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                                    grpc.StatusCode.UNKNOWN):
                    self.error = f"{e.code()} {e.details()}"
            except Exception as e:  # anything else is a bug here or a wrong answer
                self.error = repr(e)

    def step(self, api):
        choice = self.random.random()
        if choice < 0.5:
            self.put(api)
        elif choice < 0.8:
            self.pair(api)
        elif choice < 0.95:
            self.delete(api)
        else:
            self.leased(api)

    def key(self):
        return self.prefix + b"k%02d" % self.random.randrange(KEYS_PER_WRITER)

    def value(self):
        size = self.random.choice((0, 10, 100, 256, 256, 256, 3000))
        return self.random.randbytes(8).hex().encode() + b"x" * size

    def send(self, write, call):
        self.open = write
        write.revision = call().header.revision
        self.open = None
        self.acknowledged.append(write)
        for k, v in write.changes.items():
            self.known.pop(k, None) if v is None else self.known.update({k: v})

    def put(self, api):
        key, value = self.key(), self.value()
        self.send(Write({key: value}), lambda: api.Put(key=key, value=value))

    def pair(self, api):
        """Two puts and a delete that belong together."""
        value = self.value()
        a, b, gone = self.prefix + b"pair-a", self.prefix + b"pair-b", self.key()
        write = Write({a: value, b: value} | ({gone: None} if gone in self.known else {}))
        self.send(write, lambda: api.txn(
            [cmp(a, "VERSION", "GREATER", -1)], [op_put(a, value), op_put(b, value), op_del(gone)]))

    def delete(self, api):
        key = self.key()
        if key in self.known:
            self.send(Write({key: None}), lambda: api.DeleteRange(key=key))

    def leased(self, api):
        lease = api.LeaseGrant(TTL=100000).ID
        self.leases.append(lease)
        key, value = self.key(), self.value()
        self.send(Write({key: value}), lambda: api.Put(key=key, value=value, lease=lease))


class Model:
    """All that is known to be true of the store."""

    def __init__(self):
        self.revision = 1
        self.state = {}
        self.states = {}  # some old states by revision
        self.history = []  # (revision, changes)
        self.leases = set()

    def apply(self, revision, changes):
        check(revision == self.revision + 1,
              f"revision {revision} follows {self.revision}: not contiguous")
        self.revision = revision
        self.history.append((revision, changes))
        for k, v in changes.items():
            self.state.pop(k, None) if v is None else self.state.update({k: v})

    def known(self, prefix):
        return {k: v for k, v in self.state.items() if k.startswith(prefix)}


def read_history(api, first):
    """[(revision, changes)] from revision `first` to now, as a watcher sees it."""
    now = api.Range(key=b"\0", count_only=True).header.revision
    found = []
    with api.watch() as w:
        w.create(b"\0", range_end=b"\0", start_revision=first)
        while (found[-1][0] if found else first - 1) < now:
            for e in w.recv(30).events:
                revision = e.kv.mod_revision
                if not found or found[-1][0] != revision:
                    check(not found or revision > found[-1][0], f"revision {revision} seen twice")
                    found.append((revision, {}))
                check(e.kv.key not in found[-1][1], f"key twice in revision {revision}")
                found[-1][1][e.kv.key] = None if e.type else e.kv.value
    check(not found or found[-1][0] == now, "history runs past the current revision")
    return found


def account(model, history, writers):
    """Matches each revision of the history with the one write that made it."""
    expected = {w.revision: w for writer in writers for w in writer.acknowledged}
    check(len(expected) == sum(len(writer.acknowledged) for writer in writers),
          "two writes were acknowledged with one revision")
    open_writes = [writer.open for writer in writers if writer.open]
    for revision, changes in history:
        write = expected.pop(revision, None)
        if write:
            check(write.changes == changes, f"revision {revision} is not what was acknowledged")
        else:
            match = next((o for o in open_writes if o.changes == changes), None)
            check(match, f"revision {revision} was written by nobody, or only in part: "
                         f"{sorted(changes)}")
            open_writes.remove(match)
        model.apply(revision, changes)
    check(not expected, f"acknowledged writes are lost: revisions {sorted(expected)[:5]}")


def verify_state(api, model, rng):
    def read(revision=0):
        return {kv.key: kv.value for kv in api.Range(**EVERYTHING, revision=revision).kvs}
    check(read() == model.state, "the current state is not what the history adds up to")
    model.states[model.revision] = dict(model.state)
    for revision in rng.sample(sorted(model.states), min(3, len(model.states))):
        if revision > 1:
            check(read(revision) == model.states[revision], f"the state at {revision} changed")
    found = {x.ID for x in api.LeaseLeases().leases}
    check(model.leases <= found, f"leases are lost: {sorted(model.leases - found)[:5]}")


def start(server, rng):
    """Starts the server, in some rounds only after killing it during its recovery."""
    while rng.random() < KILL_IN_RECOVERY:
        server.spawn()
        time.sleep(rng.uniform(0, 0.1))
        server.kill()
    server.start()


def one_round(server, model, rng, writer_count):
    writers = [Writer(n, server.target, rng.random(), model.known(b"w%d/" % n))
               for n in range(writer_count)]
    for w in writers:
        w.start()
    time.sleep(rng.uniform(*LOAD_SECONDS))
    check(server.alive(), "the server died by itself:\n" + server.log[-3000:])
    server.kill()
    for w in writers:
        w.join(30)
        check(not w.is_alive(), "a writer hangs after the kill")
        check(not w.error, f"a writer got {w.error}")
    start(server, rng)
    account(model, read_history(server.api, model.revision + 1), writers)
    model.leases.update(lease for w in writers for lease in w.leases)
    verify_state(server.api, model, rng)
    return sum(len(w.acknowledged) for w in writers)


def run(args):
    rng = random.Random(args.seed)
    server, model = Server(), Model()
    passed = writes = 0
    try:
        server.start()
        for number in range(1, args.rounds + 1):
            writes += one_round(server, model, rng, args.writers)
            passed += 1
            if number % 10 == 0:
                print(f"round {number}: revision {model.revision}, {writes} writes acknowledged",
                      flush=True)
        history = read_history(server.api, 2)
        check(history == model.history, "the history read at the end differs from the one read on "
                                        "the way")
    except (Failure, AssertionError) as e:
        print(f"round {passed + 1} FAILED: {e}\nseed {args.seed}, data kept in {server.dir}",
              flush=True)
        server.kill()
        return passed, 1
    print(f"{passed} rounds, {writes} acknowledged writes, none lost; revision {model.revision}, "
          f"seed {args.seed}")
    if args.keep:
        server.kill()
        print(f"data kept in {server.dir}")
    else:
        server.remove()
    return passed, 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--report", help="write a JSON summary here")
    parser.add_argument("--keep", action="store_true", help="keep the data directory")
    args = parser.parse_args()
    print(f"crash: {args.rounds} rounds, seed {args.seed}", flush=True)
    passed, failed = run(args)
    if args.report:
        pathlib.Path(args.report).write_text(
            json.dumps(dict(passed=passed, failed=failed, seed=args.seed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
