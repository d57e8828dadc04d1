"""Our etcdctl beside Debian's: the same commands, the same output, the same exit code."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcdctl_fixture as fixture  # noqa: E402

pytestmark = pytest.mark.skipif(fixture.missing() is not None, reason=str(fixture.missing()))

FORMATS = ["simple", "json", "fields", "protobuf"]


@pytest.fixture(scope="module")
def sides():
    both = (fixture.Side(fixture.OURS), fixture.Side(fixture.REF))
    yield both
    for side in both:
        side.server.close()


TXN_ALL = b"""value("t1") != "x"
mod("t1") > "0"

put t2 "one two"
get t1
put t3 "x y" --prev-kv
del t0 --prev-kv
get --prefix t

get t4

"""
TXN_FAILS = TXN_ALL.replace(b'"0"', b'"99999"')
LINES = {
    "empty txn": b"\n\n\n",
    "every target": b'ver("t1") = "1"\nc("t1") < "9999"\ncreate("nokey") = "0"\n'
                    b'm("t1") > "1"\nval("t1") != "\\x00"\n\nget t1\n\n\n',
    "raw strings": b'val(`t1`) = `1`\n\nget t1\n\n\n',
    "escapes": b'val("\\x74\\061\\u0000") = "\\u00e9\\n\\\\\\""\n\nget t1\n\nput t5 "a\\tb\\u00e9"\n\n',
    "blanks": b'   mod( "t1")   >   "0"   trailing\n\n   get   t1   \n\n\n',
    "quotes in words": b'\nput "t 6" x\nput t7 a\'b\nput t8 "x"y\n\n\n',
}

# (name, arguments, stdin)
CASES = [
    ("put", ["put", "a", "1"], b""),
    ("put from stdin", ["put", "stdin"], b"line one\nline two\n"),
    ("put after dashes", ["put", "--", "-k", "-v"], b""),
    ("put dashes between", ["put", "k", "--", "--value"], b""),
    ("put bytes", ["put", "bytes"], b"x<y>&\"\xc3\xa9\n\\\x01\xff\xe2\x80\xa8\x7f"),
    ("put empty value", ["put", "empty", ""], b""),
    ("get", ["get", "a"], b""),
    ("get nothing", ["get", "nothing"], b""),
    ("get hex", ["get", "bytes", "--hex"], b""),
    ("get value only", ["get", "a", "--print-value-only"], b""),
    ("get range", ["get", "a", "c"], b""),
    ("get prefix", ["get", "--prefix", ""], b""),
    ("get from key", ["get", "--from-key", "b"], b""),
    ("get from empty key", ["get", "--from-key", ""], b""),
    ("get keys only", ["get", "--prefix", "", "--keys-only"], b""),
    ("get limit", ["get", "--prefix", "", "--limit", "2"], b""),
    ("get limit json", ["get", "--prefix", "", "--limit=2", "-w", "json"], b""),
    ("get serializable", ["get", "a", "--consistency=s"], b""),
    ("get descending", ["get", "--prefix", "", "--order", "descend"], b""),
    ("get ascending", ["get", "--prefix", "", "--order=ASCEND"], b""),
    *[(f"get by {by}", ["get", "--prefix", "", "--sort-by", by, "--order=DESCEND"], b"")
      for by in ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION")],
    ("get by value ascending", ["get", "--prefix", "", "--sort-by=value"], b""),
    ("get old revision", ["get", "a", "--rev", "2"], b""),
    ("get future revision", ["get", "a", "--rev", "100000"], b""),
    ("get table", ["get", "a", "-w", "table"], b""),
    ("get bad format", ["get", "a", "-w", "xml"], b""),
    ("get no key", ["get"], b""),
    ("get prefix and from key", ["get", "a", "--prefix", "--from-key"], b""),
    ("get prefix and end", ["get", "a", "b", "--prefix"], b""),
    ("get bad consistency", ["get", "a", "--consistency=q"], b""),
    ("get bad order", ["get", "a", "--order=foo"], b""),
    ("get bad target", ["get", "a", "--sort-by=foo"], b""),
    ("get value only json", ["get", "a", "--print-value-only", "-w", "json"], b""),
    ("get empty key", ["get", ""], b""),
    ("put no key", ["put"], b""),
    ("put no value", ["put", "a"], b""),
    ("put empty key", ["put", "", "x"], b""),
    ("put bad lease", ["put", "a", "b", "--lease=zz"], b""),
    ("put unknown lease", ["put", "a", "b", "--lease=123"], b""),
    ("put ignore value with value", ["put", "a", "b", "--ignore-value"], b""),
    ("put ignore value", ["put", "a", "--ignore-value"], b""),
    ("put ignore value without key", ["put", "nokey", "--ignore-value"], b""),
    ("put ignore lease", ["put", "a", "2", "--ignore-lease"], b""),
    *[(f"put prev {w}", ["put", "a", w, "--prev-kv", "-w", w], b"") for w in FORMATS],
    *[(f"get bytes {w}", ["get", "bytes", "-w", w], b"") for w in FORMATS],
    *[(f"get all {w}", ["get", "--prefix", "", "-w", w], b"") for w in FORMATS],
    *[(f"del {w}", ["del", "a", "--prev-kv", "-w", w], b"") for w in FORMATS],
    ("del", ["del", "empty"], b""),
    ("del nothing", ["del", "nothing"], b""),
    ("del prefix", ["del", "--prefix", "k", "--prev-kv"], b""),
    ("del no key", ["del"], b""),
    ("del three", ["del", "a", "b", "c"], b""),
    ("del both", ["del", "a", "--prefix", "--from-key"], b""),
    ("txn prepare", ["put", "t1", "1"], b""),
    *[(f"txn {w}", ["txn", "-w", w], TXN_ALL) for w in FORMATS],
    *[(f"txn fails {w}", ["txn", "-w", w], TXN_FAILS) for w in FORMATS],
    ("txn interactive", ["txn", "-i"], TXN_ALL),
    *[(f"txn {name}", ["txn"], text) for name, text in LINES.items()],
    ("txn malformed", ["txn"], b"foo\n\n\n\n"),
    ("txn unknown target", ["txn"], b'bogus("a") = "0"\n\n\n\n'),
    ("txn unknown request", ["txn"], b"\nfoo a\n\n\n"),
    ("txn short request", ["txn"], b"\nput\n\n\n"),
    ("txn ends early", ["txn"], b'mod("a") = "0"\n'),
    ("txn argument", ["txn", "x"], b""),
    ("txn table", ["txn", "-w", "table"], b"\n\n\n"),
    ("txn duplicate", ["txn"], b"\nput a b\nput a b\n\n\n"),
    ("lease grant", ["lease", "grant", "500"], b""),
    ("lease grant second", ["lease", "grant", "600"], b""),
    ("lease list", ["lease", "list"], b""),
    ("lease list json", ["lease", "list", "-w", "json"], b""),
    ("lease list fields", ["lease", "list", "-w", "fields"], b""),
    ("put with lease", ["put", "lk", "v", "--lease={0}"], b""),
    ("put with lease too", ["put", "lk", "v", "--lease", "{0}"], b""),
    ("get with lease json", ["get", "lk", "-w", "json"], b""),
    ("get with lease fields", ["get", "lk", "-w", "fields"], b""),
    ("timetolive", ["lease", "timetolive", "{0}"], b""),
    ("timetolive keys", ["lease", "timetolive", "{0}", "--keys"], b""),
    ("timetolive no keys", ["lease", "timetolive", "{1}", "--keys"], b""),
    ("timetolive unknown", ["lease", "timetolive", "123"], b""),
    ("timetolive unknown json", ["lease", "timetolive", "123", "-w", "json"], b""),
    ("timetolive unknown fields", ["lease", "timetolive", "123", "-w", "fields"], b""),
    ("timetolive no id", ["lease", "timetolive"], b""),
    ("keep-alive once", ["lease", "keep-alive", "--once", "{0}"], b""),
    ("keep-alive once json", ["lease", "keep-alive", "--once", "{0}", "-w", "json"], b""),
    ("keep-alive once fields", ["lease", "keep-alive", "--once", "{0}", "-w", "fields"], b""),
    ("keep-alive unknown", ["lease", "keep-alive", "123"], b""),
    ("keep-alive once unknown", ["lease", "keep-alive", "--once", "123"], b""),
    ("revoke", ["lease", "revoke", "{0}"], b""),
    ("revoke json", ["lease", "revoke", "{1}", "-w", "json"], b""),
    ("revoke unknown", ["lease", "revoke", "123"], b""),
    ("revoke bad id", ["lease", "revoke", "zz"], b""),
    ("grant no ttl", ["lease", "grant"], b""),
    ("grant bad ttl", ["lease", "grant", "q"], b""),
    ("grant too large", ["lease", "grant", "99999999999999"], b""),
    ("compaction", ["compaction", "2"], b""),
    ("compaction again", ["compaction", "2"], b""),
    ("compaction physical", ["compaction", "3", "--physical"], b""),
    ("compaction future", ["compaction", "100000"], b""),
    ("compaction none", ["compaction"], b""),
    ("compaction no number", ["compaction", "q"], b""),
    ("compaction range", ["compaction", "99999999999999999999"], b""),
    ("get compacted", ["get", "a", "--rev", "2"], b""),
    ("watch compacted", ["watch", "a", "--rev", "1"], b""),
    ("watch none", ["watch"], b""),
    ("watch no command", ["watch", "a", "--"], b""),
    ("member list", ["member", "list"], b""),
    ("member list json", ["member", "list", "-w", "json"], b""),
    ("member list fields", ["member", "list", "-w", "fields"], b""),
    ("member remove unknown", ["member", "remove", "123"], b""),
    ("member remove bad", ["member", "remove", "zz"], b""),
    ("member update unknown", ["member", "update", "123", "--peer-urls=http://x:1"], b""),
    ("member update no urls", ["member", "update", "123"], b""),
    ("member promote unknown", ["member", "promote", "123"], b""),
    ("member add no urls", ["member", "add", "foo"], b""),
    ("alarm list", ["alarm", "list"], b""),
    ("alarm list json", ["alarm", "list", "-w", "json"], b""),
    ("alarm disarm", ["alarm", "disarm"], b""),
    ("move-leader unknown", ["move-leader", "123"], b""),
    ("move-leader none", ["move-leader"], b""),
    ("move-leader bad", ["move-leader", "zz"], b""),
    ("endpoint status json", ["endpoint", "status", "-w", "json"], b""),
    ("endpoint status protobuf", ["endpoint", "status", "-w", "protobuf"], b""),
    ("endpoint hashkv compacted", ["endpoint", "hashkv", "--rev", "2"], b""),
    ("endpoint health", ["endpoint", "health"], b""),
    ("endpoint health cluster", ["endpoint", "health", "--cluster"], b""),
    ("endpoint health json", ["endpoint", "health", "-w", "json"], b""),
    ("endpoint health fields", ["endpoint", "health", "-w", "fields"], b""),
    ("lock none", ["lock"], b""),
    ("elect none", ["elect"], b""),
    ("elect no proposal", ["elect", "x"], b""),
    ("elect both", ["elect", "-l", "x", "y"], b""),
    ("snapshot save none", ["snapshot", "save"], b""),
    ("check perf load", ["check", "perf", "--load", "q"], b""),
    ("del all", ["del", "--prefix", ""], b""),
]


@pytest.mark.parametrize("args,stdin", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_same_output_and_exit_code(sides, args, stdin):
    done = [side.run(args, stdin) for side in sides]
    for side, d in zip(sides, done):
        side.note_lease(d.stdout)
    ours, ref = ((side.normal(d.stdout), d.returncode, side.error(d.stderr))
                 for side, d in zip(sides, done))
    assert ours == ref


# Where 3.6 has more than Debian's 3.4, or where 3.4 panics: ours by itself.


def test_member_table_looks_like_the_reference(sides):
    ours, ref = (side.run(["member", "list", "-w", "table"]).stdout for side in sides)
    widths = [len(line) for line in ours.splitlines()]
    assert len(set(widths)) == 1
    assert [len(x) for x in ours.splitlines()][0] == [len(x) for x in ref.splitlines()][0]
    assert ours.splitlines()[1] == ref.splitlines()[1]


def test_status_has_the_columns_of_3_6(sides):
    out = sides[0].run(["endpoint", "status"]).stdout.decode().strip().split(", ")
    assert len(out) == 16
    assert out[8] == "true" and out[6].endswith("%")


def test_txn_unknown_operator_is_an_error(sides):
    done = sides[0].run(["txn"], b'mod("a") ~ "0"\n\n\n\n')
    assert done.returncode == 3
    assert b"unknown operator ~" in done.stderr


def test_txn_compares_leases(sides):
    side = sides[0]
    side.run(["put", "lx", "1"])
    done = side.run(["txn"], b'lease("lx") = "0"\n\nget lx\n\n\n')
    assert done.stdout == b"SUCCESS\n\nlx\n1\n"


def test_txn_single_quotes(sides):
    """3.4 cuts such a word by the number of words on its line."""
    side = sides[0]
    done = side.run(["txn"], b"\nput q1 'a \"b\" c'\nput q2 ''\n\n\n")
    assert done.stdout == b"SUCCESS\n\nOK\n\nOK\n"
    assert side.run(["get", "--prefix", "q"]).stdout == b'q1\na "b" c\nq2\n\n'


def test_count_only(sides):
    side = sides[0]
    side.run(["put", "count", "1"])
    done = side.run(["get", "--prefix", "count", "--count-only", "-w", "fields"])
    assert b'"Count" : 1\n' in done.stdout and b'"Key"' not in done.stdout
    assert side.run(["get", "count", "--count-only"]).returncode == 128


def test_unknown_words_get_a_suggestion(sides):
    side = sides[0]
    done = side.run(["gte", "a"])
    assert done.returncode == 1 and b"get" in done.stderr
    done = side.run(["lease", "grnt", "1"])
    assert done.returncode == 1 and b"grant" in done.stderr
    done = side.run(["get", "a", "--prefx"])
    assert done.returncode == 1 and b"--prefix" in done.stderr


def test_environment_sets_global_flags(sides):
    for side in sides:
        env = fixture.environment({"ETCDCTL_ENDPOINTS": side.server.endpoint,
                                   "ETCDCTL_WRITE_OUT": "json"})
        done = subprocess.run([side.ctl, "get", "nothing"], env=env, capture_output=True, timeout=20)
        assert done.stdout.startswith(b'{"header":{')
        done = subprocess.run([side.ctl, "get", "nothing", "--endpoints", side.server.endpoint],
                              env=env, capture_output=True, timeout=20)
        assert done.returncode == 1 and b"ETCDCTL_ENDPOINTS" in done.stderr


def test_refused_connection_ends_with_the_known_line(sides):
    port = fixture.free_ports(1)[0]
    done = subprocess.run([fixture.OURS, "--endpoints", f"127.0.0.1:{port}", "--dial-timeout=300ms",
                           "get", "a"], env=fixture.environment(), capture_output=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"Error: context deadline exceeded"
    assert b"connection refused" in done.stderr


def test_second_endpoint_takes_over(sides):
    port = fixture.free_ports(1)[0]
    side = sides[0]
    done = subprocess.run([side.ctl, "--endpoints", f"127.0.0.1:{port},{side.server.endpoint}",
                           "put", "over", "1"], env=fixture.environment(), capture_output=True,
                          timeout=20)
    assert done.stdout == b"OK\n"


def test_large_answer(sides):
    side = sides[0]
    value = bytes(range(256)) * 4000
    for i in range(12):
        assert side.run(["put", f"large/{i:02}"], value).stdout == b"OK\n"
    out = side.run(["get", "--prefix", "large/", "--print-value-only"]).stdout
    assert out == (value + b"\n") * 12
    assert side.run(["del", "--prefix", "large/"]).stdout == b"12\n"


def test_snapshot_is_the_servers_file(sides, tmp_path):
    sizes = []
    for i, side in enumerate(sides):
        path = tmp_path / f"{i}.db"
        done = side.run(["snapshot", "save", str(path)])
        assert done.stdout.splitlines()[0] == f"Snapshot saved at {path}".encode()
        check = subprocess.run([fixture.REF, "snapshot", "status", str(path)],
                               env=fixture.environment(), capture_output=True, timeout=20)
        assert check.returncode == 0, check.stderr
        sizes.append(path.stat().st_size % 512)
        assert not (tmp_path / f"{i}.db.part").exists()
    assert sizes == [32, 32]  # pages and a checksum


WATCHED = [["put", "w1", "x"], ["put", "w1", 'y"z'], ["del", "w1"], ["put", "w2", "p"]]


def watch_outputs(sides, args, stdin=None, commands=WATCHED):
    started = [fixture.start(side.ctl, side.server, args) for side in sides]
    try:
        time.sleep(0.5)
        for proc in started:
            if stdin:
                proc.stdin.write(stdin)
                proc.stdin.flush()
        time.sleep(0.5)
        for side in sides:
            for words in commands:
                fixture.run(fixture.REF, side.server, words)
        time.sleep(0.7)
    finally:
        for proc in started:
            proc.send_signal(signal.SIGTERM)
    outs = [proc.communicate(timeout=10) for proc in started]
    return [(side.normal(out), err) for side, (out, err) in zip(sides, outs)]


@pytest.fixture(scope="module")
def even(sides):
    """Brings both servers to one revision, which tests of ours alone have set apart."""
    def at(side):
        out = fixture.run(fixture.REF, side.server, ["get", "x", "-w", "json"]).stdout
        return json.loads(out)["header"]["revision"]
    while at(sides[0]) != at(sides[1]):
        behind = min(sides, key=at)
        fixture.run(fixture.REF, behind.server, ["put", "even", "1"])
    return sides


@pytest.mark.parametrize("form", FORMATS)
def test_watch(even, form):
    outs = watch_outputs(even, ["watch", "w", "--prefix", "--prev-kv", "-w", form])
    assert outs[0][0] == outs[1][0]
    assert outs[0][0]


def test_watch_from_the_past(even):
    outs = watch_outputs(even, ["watch", "w1", "w2", "--rev", "4"])
    assert outs[0][0] == outs[1][0]


def test_watch_runs_a_command(even):
    outs = watch_outputs(even, ["watch", "w1", "--", "sh", "-c",
                                "echo $ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE "
                                "$ETCD_WATCH_KEY $ETCD_WATCH_VALUE"])
    assert outs[0][0] == outs[1][0]
    assert b'"y\\"z"' in outs[0][0]


def test_watch_interactive(even):
    outs = watch_outputs(even, ["watch", "-i"],
                         b"watch w1 --prev-kv\nfoo\nwatch\n\nwatch w2 -- echo hi\n")
    assert outs[0][0] == outs[1][0]
    complaints = [[x for x in err.splitlines() if x.startswith(b"Invalid")] for _, err in outs]
    assert complaints[0] == complaints[1]
    assert len(complaints[0]) == 3


def test_watch_progress(even):
    outs = watch_outputs(even, ["watch", "-i"], b"watch w1\n\nprogress\n", commands=[])
    assert outs[0][0].startswith(b"progress notify: ")
    assert outs[0][0] == outs[1][0]


def test_watch_goes_on_after_the_server_was_away(even):
    side = even[0]
    proc = fixture.start(side.ctl, side.server, ["watch", "again"])
    try:
        time.sleep(0.5)
        fixture.run(fixture.REF, side.server, ["put", "again", "before"])
        time.sleep(0.3)
        side.server.stop()
        side.server.start()
        fixture.run(fixture.REF, side.server, ["put", "again", "after"])
        time.sleep(1.5)
    finally:
        proc.send_signal(signal.SIGTERM)
    out, _ = proc.communicate(timeout=10)
    assert out == b"PUT\nagain\nbefore\nPUT\nagain\nafter\n"


def keys(side, prefix):
    return fixture.run(fixture.REF, side.server, ["get", "--prefix", prefix, "--keys-only"]).stdout.split()


def wait_for(check, seconds=5):
    end = time.time() + seconds
    while time.time() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("first,second", [("ours", "ref"), ("ref", "ours"), ("ours", "ours")])
def test_lock_excludes_across_programs(sides, first, second):
    side = sides[0]
    ctl = {"ours": fixture.OURS, "ref": fixture.REF}
    holder = fixture.start(ctl[first], side.server, ["lock", "mutex"])
    assert wait_for(lambda: len(keys(side, "mutex/")) == 1)
    assert holder.stdout.readline().startswith(b"mutex/")
    waiter = fixture.start(ctl[second], side.server, ["lock", "mutex", "echo", "mine"])
    assert wait_for(lambda: len(keys(side, "mutex/")) == 2)
    time.sleep(0.3)
    assert waiter.poll() is None
    holder.send_signal(signal.SIGINT)
    assert holder.wait(10) == 0
    assert waiter.communicate(timeout=10)[0] == b"mine\n"
    assert waiter.returncode == 0
    assert keys(side, "mutex/") == []


def test_lock_command(sides):
    side = sides[0]
    done = side.run(["lock", "m2", "--", "sh", "-c", "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV; exit 7"])
    words = done.stdout.split()
    assert words[0].startswith(b"m2/") and int(words[1]) > 0
    assert done.returncode == 7
    assert keys(side, "m2/") == []


def test_interrupted_lock_leaves_no_lease(sides):
    side = sides[0]
    before = len(fixture.run(fixture.REF, side.server, ["lease", "list"]).stdout.splitlines())
    proc = fixture.start(side.ctl, side.server, ["lock", "m3"])
    proc.stdout.readline()
    proc.send_signal(signal.SIGINT)
    assert proc.wait(10) == 0
    after = len(fixture.run(fixture.REF, side.server, ["lease", "list"]).stdout.splitlines())
    assert before == after


def test_lock_outlives_its_ttl(sides):
    side = sides[0]
    proc = fixture.start(side.ctl, side.server, ["lock", "m4", "--ttl", "2"])
    proc.stdout.readline()
    time.sleep(5)
    assert len(keys(side, "m4/")) == 1
    proc.send_signal(signal.SIGINT)
    assert proc.wait(10) == 0


def test_elect_and_observe(sides):
    side = sides[0]
    observer = fixture.start(side.ctl, side.server, ["elect", "-l", "e"])
    first = fixture.start(side.ctl, side.server, ["elect", "e", "one"])
    assert first.stdout.readline().startswith(b"e/")
    assert first.stdout.readline() == b"one\n"
    second = fixture.start(fixture.REF, side.server, ["elect", "e", "two"])
    assert wait_for(lambda: len(keys(side, "e/")) == 2)
    assert observer.stdout.readline().startswith(b"e/")
    assert observer.stdout.readline() == b"one\n"
    first.send_signal(signal.SIGINT)
    assert first.wait(10) == 0
    assert observer.stdout.readline().startswith(b"e/")
    assert observer.stdout.readline() == b"two\n"
    assert second.stdout.readline().startswith(b"e/")
    for proc in (second, observer):
        proc.send_signal(signal.SIGINT)
        assert proc.wait(10) == 0


def test_keep_alive_until_revoked(sides):
    side = sides[0]
    out = side.run(["lease", "grant", "3"]).stdout.split()
    lease = out[1].decode()
    proc = fixture.start(side.ctl, side.server, ["lease", "keep-alive", lease])
    assert proc.stdout.readline() == f"lease {lease} keepalived with TTL(3)\n".encode()
    assert proc.stdout.readline() == f"lease {lease} keepalived with TTL(3)\n".encode()
    side.run(["lease", "revoke", lease])
    assert f"lease {lease} expired or revoked.\n".encode() in proc.communicate(timeout=10)[0]
    assert proc.returncode == 0


def test_check_perf_cleans_up(sides):
    side = sides[0]
    done = side.run(["check", "perf", "--duration=2s"])
    assert b"writes/s" in done.stdout
    assert keys(side, "/etcdctl-check-perf/") == []


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory):
    server = fixture.Server(fixture.make_certificates(tmp_path_factory.mktemp("tls")))
    yield server
    server.close()


def test_tls_with_certificates(tls_server):
    flags = fixture.client_tls(tls_server.tls)
    assert fixture.run(fixture.OURS, tls_server, ["put", "a", "b", *flags]).stdout == b"OK\n"
    skip = ["--insecure-transport=false", "--insecure-skip-tls-verify", *flags[2:]]
    assert fixture.run(fixture.OURS, tls_server, ["get", "a", *skip]).stdout == b"a\nb\n"
    big = bytes(range(256)) * 5000
    assert fixture.run(fixture.OURS, tls_server, ["put", "big", *flags], big).stdout == b"OK\n"
    done = fixture.run(fixture.OURS, tls_server, ["get", "big", "--print-value-only", *flags])
    assert done.stdout == big + b"\n"


def test_tls_mistakes_say_what_is_wrong(tls_server):
    d = tls_server.tls
    cases = [
        (["--cacert", f"{d}/ca.pem"], 1, b"certificate"),  # ours is missing
        (["--cacert", f"{d}/other.pem", "--cert", f"{d}/client.pem", "--key", f"{d}/client.key"], 1,
         b"certificate verify failed"),
        ([], 1, b"https://"),
        (["--cacert", f"{d}/missing.pem"], 128, b"missing.pem"),
    ]
    for flags, code, words in cases:
        done = fixture.run(fixture.OURS, tls_server, ["get", "a", "--dial-timeout=500ms", *flags])
        assert done.returncode == code
        assert words in done.stderr, done.stderr


def test_completion_is_a_script():
    script = subprocess.run([fixture.OURS, "completion", "bash"], capture_output=True).stdout
    check = (script + b"\nCOMP_WORDS=(etcdctl lease gr); COMP_CWORD=2; _etcdctl; "
             b"echo \"${COMPREPLY[@]}\"\n"
             b"COMP_WORDS=(etcdctl get --pref); COMP_CWORD=2; _etcdctl; "
             b"echo \"${COMPREPLY[@]}\"\n")
    done = subprocess.run(["bash"], input=check, capture_output=True)
    assert done.stdout == b"grant\n--prefix\n", done.stderr
