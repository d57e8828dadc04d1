"""Flags, environment, configuration file, start-up lines, exit statuses."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from harness.api import Api
from harness.marks import VERSION, needs_36, needs_ours
from harness.server import Server, etcd_binary, free_ports, inherited_environment


def etcd(*args, env=None):
    return subprocess.run([etcd_binary(), *args], text=True, capture_output=True, timeout=20,
                          env={**inherited_environment(), **(env or {})}, cwd="/var/tmp")


def test_version_has_upstreams_form():
    p = etcd("--version")
    lines = p.stdout.splitlines()
    assert p.returncode == 0
    assert re.fullmatch(r"etcd Version: \d+\.\d+\.\d+", lines[0])
    assert [line.split(":")[0] for line in lines[1:4]] == ["Git SHA", "Go Version", "Go OS/Arch"]


def test_version_with_one_dash():
    assert etcd("-version").stdout.startswith("etcd Version: ")


def test_help_names_the_flags():
    p = etcd("--help")
    text = p.stdout + p.stderr
    for flag in ("--name", "--data-dir", "--listen-client-urls", "--quota-backend-bytes",
                 "--cert-file", "--auto-compaction-mode"):
        assert flag in text
    assert p.returncode == 0


def test_unknown_flag_is_refused_with_a_hint():
    p = etcd("--data-dri", "x")
    assert p.returncode > 0 and "data-dri" in p.stdout + p.stderr
    if VERSION >= (3, 6):
        assert "data-dir" in p.stdout + p.stderr


@pytest.mark.parametrize("args", [
    ["--quota-backend-bytes", "many"],
    ["--election-timeout", "10"],
    ["--auto-compaction-mode", "sometimes"],
    ["--listen-client-urls", "nonsense"],
    ["--max-txn-ops", "-x"],
    ["--config-file", "/no/such/file"],
])
def test_bad_values_are_refused(tmp_path, args):
    p = etcd("--data-dir", str(tmp_path / "d"), *args)
    assert p.returncode > 0 and p.stdout + p.stderr


def test_listen_without_advertise_is_refused(tmp_path):
    port, = free_ports(1)
    p = etcd("--data-dir", str(tmp_path / "d"), "--listen-client-urls", f"http://127.0.0.1:{port}")
    assert p.returncode > 0 and "advertise-client-urls" in p.stdout + p.stderr


@pytest.mark.parametrize("form", ["--x v", "--x=v", "-x v", "-x=v"])
def test_flag_forms(new_server, form):
    dash, equals = ("--" if form.startswith("--") else "-"), "=" in form
    s = new_server()
    plain = Server.command(s)
    words = [plain[0]]
    for flag, value in zip(plain[1::2], plain[2::2]):
        flag = dash + flag.lstrip("-")
        words += [f"{flag}={value}"] if equals else [flag, value]
    s.command = lambda: words
    s.start().api.Put(key=b"k", value=b"v")


def test_boolean_flag_forms(new_server):
    s = new_server(args=["--strict-reconfig-check=false", "--pre-vote"])
    s.start().api.Put(key=b"k", value=b"v")


def test_environment(new_server):
    s = new_server()
    words = Server.command(s)
    s.env = {"ETCD_" + flag.lstrip("-").upper().replace("-", "_"): value
             for flag, value in zip(words[1::2], words[2::2])}
    s.env["ETCD_NAME"] = s.name
    s.command = lambda: words[:1]
    s.start()
    assert s.api.MemberList().members[0].name == s.name
    assert s.data_dir.is_dir()


def test_flag_and_environment_in_conflict_are_refused(tmp_path):
    p = etcd("--name", "a", "--data-dir", str(tmp_path / "d"), env={"ETCD_NAME": "b"})
    text = p.stdout + p.stderr
    assert p.returncode > 0 and "ETCD_NAME" in text


def test_unknown_environment_is_only_warned_about(new_server):
    s = new_server(env={"ETCD_NO_SUCH_THING": "1"}).start()
    assert "ETCD_NO_SUCH_THING" in s.log


def test_config_file(new_server, tmp_path):
    s = new_server()
    words = Server.command(s)
    text = "".join(f"{flag.lstrip('-')}: '{value}'\n" for flag, value in zip(words[1::2], words[2::2]))
    (tmp_path / "conf.yml").write_text(text + "quota-backend-bytes: 100000000\n# a comment\n")
    s.command = lambda: [words[0], "--config-file", str(tmp_path / "conf.yml")]
    s.start().api.Put(key=b"k", value=b"v")
    assert s.data_dir.is_dir()


@needs_ours
def test_config_file_errors_name_the_place(tmp_path):
    path = tmp_path / "conf.yml"
    for text, expected in (("name: a\ndata-dri: x\n", "data-dri"),
                           ("name: [unclosed\n", "conf.yml"),
                           ("quota-backend-bytes: much\n", "quota-backend-bytes")):
        path.write_text(text)
        p = etcd("--config-file", str(path))
        assert p.returncode > 0 and expected in p.stdout + p.stderr, text


def test_start_up_lines_of_all_generations(new_server):
    s = new_server().start()
    s.wait_log("ready to serve client requests")
    if VERSION >= (3, 6):
        for line in ("published local member to cluster through raft", "enabled capabilities for version",
                     "serving client traffic insecurely; this is strongly discouraged!"):
            s.wait_log(line)
    else:
        s.wait_log("published")
        s.wait_log("enabled capabilities for version")


@needs_36
def test_log_lines_are_json_with_the_usual_fields(fresh):
    lines = [json.loads(line) for line in fresh.log.splitlines() if line.startswith("{")]
    assert lines and all({"level", "ts", "msg"} <= set(line) for line in lines)


@needs_36
def test_log_level_hides_what_is_below(new_server):
    s = new_server(args=["--log-level", "error"])
    s.spawn()
    for _ in range(200):
        try:
            with Api(s.target) as api:
                api.Put(key=b"k", value=b"")
            break
        except Exception:
            assert s.alive()
    assert '"level":"info"' not in s.log


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(fresh, sig):
    with fresh.api.watch() as w:  # an open stream must not hold it up
        w.create(b"k")
        fresh.process.send_signal(sig)
        status = fresh.process.wait(20)
    assert status == 0 or (VERSION < (3, 6) and status == -sig)


def test_data_directory_layout(fresh):
    assert (fresh.data_dir / "member/snap/db").is_file()
    assert list((fresh.data_dir / "member/wal").glob("*.wal"))


@needs_ours
def test_data_is_private(fresh):
    for path in fresh.data_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_second_server_on_the_same_data_is_refused(fresh):
    second = Server(directory=fresh.dir)
    second.log_path = fresh.dir / "log2"
    if VERSION < (3, 6):
        pytest.skip("3.4 waits for the lock forever")
    second.spawn()
    assert second.wait_exit(20) > 0
    assert "in use" in second.log or "lock" in second.log
    assert fresh.alive()


def test_port_in_use_is_said(new_server):
    s = new_server()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", s.port))
        taken.listen()
        s.spawn()
        assert s.wait_exit() > 0
    assert "address already in use" in s.log.lower()


@needs_ours
def test_port_in_use_names_the_port(new_server):
    s = new_server()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", s.port))
        taken.listen()
        s.spawn()
        assert s.wait_exit() > 0, "a failure to start is an exit status, not a signal"
    assert str(s.port) in s.log


def test_data_directory_that_cannot_be_made_is_said(new_server):
    s = new_server()
    s.data_dir = pathlib.Path("/proc/no/such/place")
    s.spawn()
    assert s.wait_exit() > 0 and "/proc/no" in s.log


def test_max_txn_ops_and_request_bytes(new_server):
    import grpc
    from harness.api import op_get, refused
    s = new_server(args=["--max-txn-ops", "3", "--max-request-bytes", "2000"]).start()
    s.api.txn(then=[op_get(b"%d" % i) for i in range(3)])
    with refused(grpc.StatusCode.INVALID_ARGUMENT,
                 "etcdserver: too many operations in txn request"):
        s.api.txn(then=[op_get(b"%d" % i) for i in range(4)])
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large"):
        s.api.Put(key=b"k", value=b"x" * 2000)


def test_several_client_urls(new_server):
    s = new_server()
    extra, = free_ports(1)
    s.args = ["--listen-client-urls", f"{s.url},http://127.0.0.1:{extra}"]
    s.start()
    with Api(f"127.0.0.1:{extra}") as api:
        api.Put(key=b"k", value=b"v")


def test_metrics_on_their_own_port(new_server):
    port, = free_ports(1)
    s = new_server(args=["--listen-metrics-urls", f"http://127.0.0.1:{port}"]).start()
    out = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{port}/metrics"], check=True,
                         capture_output=True, text=True).stdout
    assert "etcd_server_has_leader 1" in out
    assert s.alive()


def test_nothing_listens_beyond_loopback(fresh):
    """Every listening socket of the process, from /proc."""
    inodes = set()
    for fd in pathlib.Path(f"/proc/{fresh.pid}/fd").iterdir():
        try:
            inodes |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
        except OSError:
            pass
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]:
            f = line.split()
            if f[3] == "0A" and f[9] in inodes:
                assert f[1].split(":")[0] in (loopback, "0000000000000000FFFF00000100007F"), line


@needs_ours
def test_a_long_list_of_advertised_urls(new_server):
    """What the member tells of itself goes through the log: it must never be refused there."""
    urls = ",".join(f"http://host-{i}.example.com:2379" for i in range(1000))
    server = new_server(args=["--advertise-client-urls", urls]).start()
    server.api.Put(key=b"k", value=b"v")
    assert len(server.api.MemberList().members[0].clientURLs) == 1000
    server.kill()
    assert server.start().api.Range(key=b"k").count == 1
