"""HTTP on the client port, by curl and by hand: health, version, metrics, refusals."""
import json
import re
import socket
import subprocess

import pytest

from harness.marks import VERSION, needs_36, needs_ours


def curl(shared, path, *args):
    """(status, headers in lower case, body)"""
    out = subprocess.run(["curl", "-sS", "-i", "--max-time", "10", *args, shared.url + path],
                         check=True, capture_output=True).stdout.decode()
    head, _, body = out.partition("\r\n\r\n")
    lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


def test_version(shared):
    status, headers, body = curl(shared, "/version")
    answer = json.loads(body)
    assert status == 200 and headers["content-type"].startswith("application/json")
    assert answer["etcdserver"] == ".".join(map(str, VERSION))
    assert answer["etcdcluster"].startswith("%d.%d" % VERSION[:2])


@needs_36
def test_version_tells_storage(shared):
    assert json.loads(curl(shared, "/version")[2])["storage"].startswith("3.6")


def test_health(shared):
    status, _, body = curl(shared, "/health")
    assert status == 200 and json.loads(body)["health"] == "true"


def test_health_refuses_other_methods(shared):
    assert curl(shared, "/health", "-X", "POST")[0] == 405


def test_health_with_an_alarm(fresh):
    member = fresh.api.Status().header.member_id
    fresh.api.Alarm(action="ACTIVATE", memberID=member, alarm="NOSPACE")
    status, _, body = curl(fresh, "/health")
    assert status == 503 and json.loads(body)["health"] == "false"
    if VERSION >= (3, 6):
        assert json.loads(body)["reason"] == "ALARM NOSPACE"
    assert curl(fresh, "/health?exclude=NOSPACE")[0] == 200


@needs_36
def test_livez_and_readyz(fresh):
    for path in ("/livez", "/readyz"):
        assert curl(fresh, path)[::2] == (200, "ok\n")
        status, _, body = curl(fresh, path + "?verbose")
        assert status == 200 and "[+]serializable_read ok\n" in body
    assert "[+]linearizable_read ok\n" in curl(fresh, "/readyz?verbose")[2]
    assert "linearizable_read" not in curl(fresh, "/livez?verbose")[2]
    for path in ("/livez/serializable_read", "/readyz/data_corruption", "/readyz/serializable_read",
                 "/readyz/linearizable_read", "/readyz/non_learner"):
        assert curl(fresh, path)[0] == 200, path
    fresh.api.Alarm(action="ACTIVATE", memberID=fresh.api.Status().header.member_id, alarm="CORRUPT")
    status, _, body = curl(fresh, "/readyz")
    assert status == 503 and "[-]data_corruption failed: " in body
    assert curl(fresh, "/readyz?exclude=data_corruption")[0] == 200
    assert curl(fresh, "/livez")[0] == 200


METRICS = """etcd_server_has_leader etcd_server_is_leader etcd_server_leader_changes_seen_total
etcd_server_proposals_committed_total etcd_server_proposals_applied_total
etcd_server_proposals_pending etcd_server_proposals_failed_total etcd_server_quota_backend_bytes
etcd_server_version etcd_server_id etcd_cluster_version etcd_disk_wal_fsync_duration_seconds_bucket
etcd_disk_backend_commit_duration_seconds_bucket etcd_mvcc_db_total_size_in_bytes
etcd_mvcc_db_total_size_in_use_in_bytes etcd_mvcc_put_total etcd_mvcc_delete_total
etcd_mvcc_range_total etcd_mvcc_txn_total etcd_network_client_grpc_received_bytes_total
etcd_network_client_grpc_sent_bytes_total etcd_debugging_mvcc_keys_total
etcd_debugging_mvcc_current_revision etcd_debugging_mvcc_compact_revision
etcd_debugging_mvcc_watcher_total etcd_debugging_mvcc_watch_stream_total
etcd_debugging_mvcc_slow_watcher_total etcd_debugging_mvcc_events_total
etcd_debugging_lease_granted_total process_resident_memory_bytes process_open_fds""".split()
SINCE_35 = {"etcd_mvcc_put_total", "etcd_mvcc_delete_total", "etcd_mvcc_range_total",
            "etcd_mvcc_txn_total", "etcd_debugging_mvcc_current_revision",
            "etcd_debugging_mvcc_compact_revision"}


def metrics(shared):
    """{name with labels: value}"""
    found = {}
    for line in curl(shared, "/metrics")[2].splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def test_metrics_have_upstreams_names(shared):
    status, headers, _ = curl(shared, "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain")
    names = {name.partition("{")[0] for name in metrics(shared)}
    missing = [m for m in METRICS if m not in names and (VERSION >= (3, 5) or m not in SINCE_35)]
    assert not missing


def test_metrics_follow_what_happens(fresh):
    def watched(m):
        return (m["etcd_debugging_mvcc_keys_total"], m["etcd_debugging_mvcc_watcher_total"],
                m["etcd_server_proposals_applied_total"])
    before = watched(metrics(fresh))
    fresh.api.Put(key=b"a", value=b"")
    fresh.api.Put(key=b"b", value=b"")
    with fresh.api.watch() as w:
        w.create(b"a")
        after = watched(metrics(fresh))
    assert after[0] == before[0] + 2 and after[1] == before[1] + 1 and after[2] >= before[2] + 2


def test_unknown_path_is_404(shared):
    assert curl(shared, "/no/such/thing")[0] == 404


@needs_ours
def test_head_is_get_without_body(shared):
    status, headers, body = curl(shared, "/version", "-I")
    assert status == 200 and body == "" and int(headers["content-length"]) > 0


@needs_ours
def test_http2_with_prior_knowledge(shared):
    assert curl(shared, "/version", "--http2-prior-knowledge")[0] == 200


# ---- by hand -------------------------------------------------------------------------------------------


def talk(shared, *parts, until_close=True):
    """Sends bytes, returns all that comes."""
    with socket.create_connection(("127.0.0.1", shared.port), timeout=5) as s:
        for p in parts:
            s.sendall(p)
        got = b""
        try:
            while chunk := s.recv(65536):
                got += chunk
                if not until_close and b"\r\n\r\n" in got:
                    break
        except (ConnectionResetError, socket.timeout):
            pass
        return got


def test_keep_alive_and_pipelining(shared):
    one = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    got = talk(shared, one + one + last)
    assert got.count(b"HTTP/1.1 200") == 3


def test_http_1_0_is_answered_and_closed(shared):
    assert b" 200 " in talk(shared, b"GET /version HTTP/1.0\r\n\r\n").splitlines()[0]


def test_request_in_single_bytes(shared):
    request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert b" 200 " in talk(shared, *[request[i:i + 1] for i in range(len(request))])


@needs_ours
@pytest.mark.parametrize("bad", [
    b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    b"GET /health HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/3.0\r\nHost: x\r\n\r\n",
    b"G\x01T /health HTTP/1.1\r\nHost: x\r\n\r\n",
])
def test_ambiguous_or_malformed_requests_are_refused_and_closed(shared, bad):
    got = talk(shared, bad)
    assert got.split(b" ")[1][:1] in (b"4", b"5"), got
    assert len(re.findall(rb"^HTTP/1\.1 \d", got, re.M)) == 1


@needs_ours
def test_too_long_is_refused(shared):
    long = b"x" * (64 << 10)
    for request in (b"GET /" + long + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: x\r\nA: " + long + b"\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n"):
        assert talk(shared, request)[9:10] == b"4"


@needs_ours
def test_expect_continue(shared):
    head = b"POST /health HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert talk(shared, head, until_close=False).startswith(b"HTTP/1.1 100")
