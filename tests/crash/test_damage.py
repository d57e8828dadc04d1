"""Damaged files: a torn log tail is cut off and said so; any other wrong bit is refused with file and
place, or has no effect. Never is wrong data served."""
import random
import re

import grpc
import pytest

from harness.api import op_put
from harness.files import Saved, content_end, database, find, flip, wal_files, zero
from harness.marks import needs_ours

pytestmark = needs_ours

SECTOR = 512
FLIPS = 12
EVERYTHING = dict(key=b"\0", range_end=b"\0")


def fill(server, count=60):
    """Known content: many revisions, some large values, deletes, a lease. {revision: state}"""
    state, states = {}, {}
    lease = server.api.LeaseGrant(TTL=100000).ID
    for i in range(count):
        key, value = b"key%02d" % (i % 17), b"value-%06d-" % i + b"v" * (3000 if i % 5 == 0 else 20)
        if i % 11 == 10:
            revision = server.api.DeleteRange(key=key).header.revision
            state.pop(key, None)
        else:
            revision = server.api.Put(key=key, value=value, lease=lease if i % 7 == 0 else 0
                                      ).header.revision
            state[key] = value
        states[revision] = dict(state)
    return states


def read(api, revision=0):
    return {kv.key: kv.value for kv in api.Range(**EVERYTHING, revision=revision, timeout=5).kvs}


def is_damage_error(e):
    return e.code() == grpc.StatusCode.DATA_LOSS


class Outcome:
    """What a server with harmed files did: refused to start, or served each state rightly, or
    answered some with an error. Wrong data is an assertion."""

    def __init__(self, server, states):
        self.log = ""
        self.errors = 0
        server.spawn()
        try:
            server.wait_ready()
            self.started = True
        except AssertionError:
            self.started = False
        if self.started:
            self.look_at(server, states)
        self.exit = server.process.poll()
        server.kill()
        self.log = server.fresh_log()
        self.check_exit()

    def look_at(self, server, states):
        for revision, state in sorted(states.items()):
            try:
                found = read(server.api, revision)
                assert found == state, f"wrong data at revision {revision}"
            except grpc.RpcError as e:
                if e.code() == grpc.StatusCode.UNAVAILABLE and not server.alive():
                    return
                assert is_damage_error(e), f"{e.code()} {e.details()}"
                self.errors += 1

    def check_exit(self):
        """An end is a decision: never by a signal, always with words."""
        if self.exit is not None:
            assert self.exit > 0, f"died of signal {-self.exit}:\n{self.log[-3000:]}"

    def names_place(self, name):
        """One line of the log names the file and the offset."""
        return any(name in line and re.search(r"offset \d+", line) for line in self.log.splitlines())


@pytest.fixture
def filled(fresh):
    states = fill(fresh)
    fresh.kill()
    return fresh, states


def newest_content(server):
    """The newest log segment with content, and where that ends."""
    for path in reversed(wal_files(server.data_dir)):
        if content_end(path):
            return path, content_end(path)
    raise AssertionError("the log is empty")


# ---- the log's tail ---------------------------------------------------------------------------------


def test_torn_tail_is_cut_off_and_said(fresh):
    """The last batch reached the disk only in part: its last sectors are still zeros."""
    states = fill(fresh)
    last = fresh.api.Put(key=b"torn", value=b"T" * 20000).header.revision
    fresh.kill()
    path, end = newest_content(fresh)
    place = find(path, b"T" * 100)[0]
    zero(path, (place // SECTOR + 10) * SECTOR, end)
    fresh.start()
    log = fresh.fresh_log()
    assert path.name in log and "unfinished" in log, log[-2000:]
    assert read(fresh.api) == states[max(states)]
    assert fresh.api.Put(key=b"next", value=b"").header.revision == last
    fresh.kill()
    fresh.start()
    assert "unfinished" not in fresh.fresh_log(), "the cut was not made for good"
    assert fresh.api.Range(key=b"next").count == 1


def test_log_that_ends_between_batches_is_clean(filled):
    server, states = filled
    server.start()
    assert "unfinished" not in server.fresh_log()
    assert read(server.api) == states[max(states)]


def test_kill_right_after_start_is_harmless(filled):
    server, states = filled
    for _ in range(5):
        server.spawn()
        server.kill()
    server.start()
    assert read(server.api) == states[max(states)]


# ---- flipped bits in the log --------------------------------------------------------------------------


def test_flipped_bit_in_a_log_record_is_refused_with_its_place(filled):
    server, states = filled
    path, _ = newest_content(server)
    offset = find(path, b"value-000005-")[0]
    flip(path, offset)
    o = Outcome(server, states)
    assert not o.started, "a damaged log was accepted"
    assert o.names_place(path.name), o.log[-2000:]


def test_refused_log_is_left_as_it_was(filled):
    server, states = filled
    path, _ = newest_content(server)
    flip(path, find(path, b"value-000005-")[0])
    before = path.read_bytes()
    Outcome(server, states)
    assert path.read_bytes() == before


@pytest.mark.parametrize("seed", [1, 2])
def test_random_flips_in_the_log_never_change_an_answer(filled, seed):
    server, states = filled
    saved, rng = Saved(server), random.Random(seed)
    path, end = newest_content(server)
    refused = 0
    for _ in range(FLIPS):
        saved.restore()
        flip(path, rng.randrange(end), 1 << rng.randrange(8))
        o = Outcome(server, states)
        refused += not o.started
        assert o.started or o.names_place(path.name), o.log[-2000:]
    assert refused >= FLIPS // 2, "flipped bits went unnoticed"


def test_lost_log_segment_is_refused(filled):
    server, states = filled
    path, _ = newest_content(server)
    path.unlink()
    o = Outcome(server, states)
    assert not o.started and o.log


def test_truncated_segment_never_serves_wrong_data(filled):
    server, states = filled
    path, end = newest_content(server)
    with open(path, "r+b") as f:
        f.truncate(end // 2)
    server.spawn()
    try:
        server.wait_ready()
    except AssertionError:
        assert server.process.poll() > 0 and path.name in server.fresh_log()
        return
    revision = server.api.Range(key=b"x").header.revision
    assert read(server.api) == states.get(revision, {})


# ---- flipped bits in the store ---------------------------------------------------------------------------


@pytest.fixture
def settled(fresh):
    """All content is in the store's file: enough was written after it that it was checkpointed."""
    states = fill(fresh)
    fresh.stop()
    fresh.start()
    fresh.stop()
    assert find(database(fresh.data_dir), b"value-000005-"), "nothing was checkpointed"
    return fresh, states


def test_flipped_bit_in_a_stored_value_is_refused(settled):
    server, states = settled
    path = database(server.data_dir)
    for offset in find(path, b"value-000005-"):
        flip(path, offset)
    o = Outcome(server, states)
    assert not o.started or o.errors or o.exit, "a changed value went unnoticed"
    assert "damaged" in o.log, o.log[-2000:]


@pytest.mark.parametrize("seed", [1, 2])
def test_random_flips_in_the_store_never_change_an_answer(settled, seed):
    server, states = settled
    saved, rng = Saved(server), random.Random(seed)
    path = database(server.data_dir)
    end = content_end(path)
    for _ in range(FLIPS):
        saved.restore()
        flip(path, rng.randrange(end), 1 << rng.randrange(8))
        o = Outcome(server, states)
        assert o.started or "damaged" in o.log or "not a file of this format" in o.log, o.log[-2000:]


@pytest.mark.parametrize("what", ["empty", "half", "zeros"])
def test_store_file_that_is_not_whole_is_refused_or_rebuilt(settled, what):
    server, states = settled
    path = database(server.data_dir)
    size = path.stat().st_size
    with open(path, "r+b") as f:
        f.truncate({"empty": 0, "half": size // 2 // 4096 * 4096, "zeros": 0}[what])
        if what == "zeros":
            f.truncate(size)
    Outcome(server, states)


def test_transactions_are_whole_after_any_torn_tail(fresh):
    """Cut the log at many places: each multi-key transaction is there whole or not at all."""
    for i in range(20):
        fresh.api.txn(then=[op_put(b"a", b"%d" % i * 200), op_put(b"b", b"%d" % i * 200)])
    fresh.kill()
    saved, rng = Saved(fresh), random.Random(5)
    path, end = newest_content(fresh)
    for _ in range(8):
        saved.restore()
        cut = rng.randrange(end // 2, end) // SECTOR * SECTOR
        zero(path, cut, end)
        fresh.spawn()
        try:
            fresh.wait_ready()
        except AssertionError:
            fresh.kill()
            continue  # refused: then the store already held more than the log
        state = read(fresh.api)
        assert state.get(b"a") == state.get(b"b")
        fresh.kill()
