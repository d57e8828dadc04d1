"""Lock and Election: order of waiters, keys, ends by unlock, lease or departure."""
import time

import grpc
import pytest

from harness.api import Api, refused
from harness.ctl import Ctl

UNKNOWN = grpc.StatusCode.UNKNOWN


def grant(api, ttl=100):
    return api.LeaseGrant(TTL=ttl).ID


def pending(future, seconds=0.3):
    """True while the call has no answer."""
    try:
        future.result(timeout=seconds)
        return False
    except grpc.FutureTimeoutError:
        return True


# ---- Lock ----------------------------------------------------------------------------------------


def test_lock_key_is_name_and_lease(api, key):
    lease = grant(api)
    r = api.Lock(name=key[:-1], lease=lease)
    assert r.key == key + b"%x" % lease
    kv = api.Range(key=r.key).kvs[0]
    assert (kv.value, kv.lease) == (b"", lease)


def test_lock_is_held_until_unlocked(api, key):
    first = api.Lock(name=key, lease=grant(api))
    second = api.future("Lock", name=key, lease=grant(api))
    assert pending(second)
    api.Unlock(key=first.key)
    assert second.result(5).key != first.key


def test_lock_again_with_the_same_lease_is_held_already(api, key):
    lease = grant(api)
    assert api.Lock(name=key, lease=lease).key == api.Lock(name=key, lease=lease).key


def test_waiters_get_it_in_their_order(api, key):
    held = api.Lock(name=key, lease=grant(api))
    waiters = []
    for _ in range(3):
        waiters.append(api.future("Lock", name=key, lease=grant(api)))
        time.sleep(0.1)  # so that their keys are made in this order
    for i, w in enumerate(waiters):
        assert all(pending(x, 0.05) for x in waiters[i:])
        api.Unlock(key=held.key)
        held = w.result(5)


def test_expired_lease_frees_the_lock(api, key):
    api.Lock(name=key, lease=grant(api, 2))
    second = api.future("Lock", name=key, lease=grant(api))
    assert second.result(8).key


def test_revoked_lease_ends_a_waiter(api, key):
    api.Lock(name=key, lease=grant(api))
    lease = grant(api)
    waiter = api.future("Lock", name=key, lease=lease)
    assert pending(waiter)
    assert api.Range(key=key + b"/", range_end=key + b"0", count_only=True).count == 2
    api.LeaseRevoke(ID=lease)
    assert api.Range(key=key + b"/", range_end=key + b"0", count_only=True).count == 1
    waiter.cancel()


def test_waiter_that_leaves_leaves_no_key(shared, api, key):
    api.Lock(name=key, lease=grant(api))
    other = Api(shared.target)
    waiter = other.future("Lock", name=key, lease=grant(api))
    assert pending(waiter)
    waiter.cancel()
    other.close()
    deadline = time.monotonic() + 5
    while api.Range(key=key + b"/", range_end=key + b"0", count_only=True).count > 1:
        assert time.monotonic() < deadline, "a key of a waiter that is gone stays"
        time.sleep(0.05)


def test_waiter_behind_one_that_left_still_gets_it(shared, api, key):
    held = api.Lock(name=key, lease=grant(api))
    other = Api(shared.target)
    middle = other.future("Lock", name=key, lease=grant(api))
    assert pending(middle)
    last = api.future("Lock", name=key, lease=grant(api))
    assert pending(last)
    middle.cancel()
    assert pending(last)
    api.Unlock(key=held.key)
    assert last.result(5).key
    other.close()


def test_lock_without_a_lease_gets_one_of_a_minute(api, key):
    r = api.Lock(name=key)
    lease = api.Range(key=r.key).kvs[0].lease
    assert api.LeaseTimeToLive(ID=lease).grantedTTL == 60


def test_lock_with_an_unknown_lease_is_refused(api, key):
    # Code 2: upstream's lock service is a client of its own server and passes on only the text.
    with refused(UNKNOWN, "etcdserver: requested lease not found"):
        api.Lock(name=key, lease=192837465)


def test_etcdctl_lock(shared, ctl):
    holder = ctl.spawn("lock", "ctl-lock")
    assert holder.stdout.readline().startswith("ctl-lock/")
    waiter = ctl.spawn("lock", "ctl-lock", "echo", "mine")
    time.sleep(0.3)
    assert waiter.poll() is None
    holder.terminate()
    holder.wait(10)
    out, _ = waiter.communicate(timeout=10)
    assert "mine" in out and waiter.returncode == 0


def test_python_etcd3_lock(shared):
    import etcd3
    with etcd3.client(host="127.0.0.1", port=shared.port) as client:
        # No second one beside it: this version of the client cannot wait (its tenacity is too new).
        with client.lock("py-lock", ttl=20) as lock:
            assert lock.is_acquired()
        assert not lock.is_acquired()


# ---- Election -----------------------------------------------------------------------------------------


def test_campaign_wins_and_leader_tells(api, key):
    lease = grant(api)
    r = api.Campaign(name=key[:-1], lease=lease, value=b"me")
    assert (r.leader.name, r.leader.key, r.leader.lease) == (key[:-1], key + b"%x" % lease, lease)
    kv = api.Leader(name=key[:-1]).kv
    assert (kv.key, kv.value, kv.create_revision) == (r.leader.key, b"me", r.leader.rev)


def test_no_leader_is_said(api, key):
    with refused(UNKNOWN, "election: no leader"):
        api.Leader(name=key)


def test_second_candidate_waits_for_the_first_to_resign(api, key):
    first = api.Campaign(name=key, lease=grant(api), value=b"1")
    second = api.future("Campaign", name=key, lease=grant(api), value=b"2")
    assert pending(second)
    api.Resign(leader=first.leader)
    second.result(5)
    assert api.Leader(name=key).kv.value == b"2"


def test_proclaim_changes_the_value_of_the_leader_only(api, key):
    r = api.Campaign(name=key, lease=grant(api), value=b"1")
    api.Proclaim(leader=r.leader, value=b"2")
    assert api.Leader(name=key).kv.value == b"2"
    api.Resign(leader=r.leader)
    with refused(UNKNOWN, "election: not leader"):
        api.Proclaim(leader=r.leader, value=b"3")


def test_campaign_again_with_the_same_lease_changes_the_value(api, key):
    lease = grant(api)
    api.Campaign(name=key, lease=lease, value=b"1")
    api.Campaign(name=key, lease=lease, value=b"2")
    assert api.Leader(name=key).kv.value == b"2"


@pytest.mark.parametrize("method", ["Proclaim", "Resign"])
def test_leader_field_must_be_given(api, method):
    with refused(UNKNOWN, '"leader" field must be provided'):
        getattr(api, method)()


def test_expired_lease_ends_a_leadership(api, key):
    api.Campaign(name=key, lease=grant(api, 2), value=b"1")
    api.future("Campaign", name=key, lease=grant(api), value=b"2").result(8)
    assert api.Leader(name=key).kv.value == b"2"


def test_observe_sees_every_leader(api, key):
    first = api.Campaign(name=key, lease=grant(api), value=b"1")
    seen = api.observe(key)
    assert next(seen).kv.value == b"1"
    api.Proclaim(leader=first.leader, value=b"1b")
    assert next(seen).kv.value == b"1b"
    second = api.future("Campaign", name=key, lease=grant(api), value=b"2")
    api.Resign(leader=first.leader)
    second.result(5)
    assert next(seen).kv.value == b"2"
    seen.cancel()


def test_observe_waits_for_a_first_leader(api, key):
    seen = api.observe(key)
    time.sleep(0.1)
    api.Campaign(name=key, lease=grant(api), value=b"1")
    assert next(seen).kv.value == b"1"
    seen.cancel()


def test_etcdctl_elect(fresh):
    ctl = Ctl(fresh)
    leader = ctl.spawn("elect", "ctl-election", "one")
    assert leader.stdout.readline().startswith("ctl-election/")
    assert leader.stdout.readline() == "one\n"
    watcher = ctl.spawn("elect", "-l", "ctl-election")
    watcher.stdout.readline()
    assert watcher.stdout.readline() == "one\n"
    for p in (leader, watcher):
        p.terminate()
        p.wait(10)
