"""Everything at once: long work, its cancellation and the end of the server while writes go on."""
import concurrent.futures
import random
import threading
import time

import grpc

from harness.marks import needs_ours

KEYS = 600
VALUE = b"v" * 20000
ROUNDS = 12


def fill(api):
    for i in range(KEYS):
        api.Put(key=b"big%04d" % i, value=VALUE)


class Writer:
    """Puts in a thread; what was acknowledged and the longest wait."""

    def __init__(self, server):
        self.server, self.done, self.slowest, self.count = server, threading.Event(), 0, 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.is_set():
            begin = time.monotonic()
            try:
                self.server.api.Put(key=b"w%d" % (self.count % 50), value=b"%d" % self.count)
            except grpc.RpcError:
                return
            self.count += 1
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.done.set()
        self.thread.join()


@needs_ours
def test_canceled_snapshots_and_compactions_under_writes(fresh):
    """Each is canceled at another moment of its life: while copied, between, while sent."""
    fill(fresh.api)
    rng = random.Random(1)
    with Writer(fresh) as writer:
        for _ in range(ROUNDS):
            calls = [fresh.api.snapshot() for _ in range(3)]
            revision = fresh.api.Range(key=b"x").header.revision
            try:
                fresh.api.Compact(revision=revision - 1, physical=True, timeout=0.003)
            except grpc.RpcError:
                pass
            for call in calls:
                time.sleep(rng.random() * 0.02)
                call.cancel()
    assert fresh.alive() and writer.count > 0
    blobs = [r.blob for r in fresh.api.snapshot()]
    assert sum(map(len, blobs)) % 512 == 32
    assert fresh.api.HashKV().hash == fresh.restart().api.HashKV().hash


@needs_ours
def test_many_hashes_do_not_stop_writes(fresh):
    fill(fresh.api)
    with Writer(fresh) as writer, concurrent.futures.ThreadPoolExecutor(12) as pool:
        jobs = [pool.submit(fresh.api.HashKV, revision=KEYS, timeout=60) for _ in range(12)]
        hashes = {j.result().hash for j in jobs}
    assert len(hashes) == 1 and writer.count > 0


@needs_ours
def test_the_end_comes_with_everything_in_flight(fresh):
    fill(fresh.api)
    with Writer(fresh) as writer, concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [fresh.api.snapshot() for _ in range(3)]
        jobs = [pool.submit(fresh.api.HashKV, timeout=20) for _ in range(6)]
        time.sleep(0.1)
        process = fresh.process
        process.terminate()
        assert process.wait(20) == 0
        for j in jobs:
            j.exception()
        for c in calls:
            c.cancel()
    fresh._api = None
    fresh.start()
    last = writer.count - 1
    values = [int(kv.value) for kv in fresh.api.Range(key=b"w", range_end=b"x").kvs]
    assert last < 0 or max(values) >= last, "what was acknowledged is there"
