"""TLS for clients: certificates, client certificates, reload without restart, refusals."""
import shutil
import ssl
import socket
import subprocess
import time

import grpc
import pytest

from harness.api import Api, refused
from harness.ctl import Ctl
from harness.marks import needs_ours


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Pki:
    """A CA and what it signs, in one folder."""

    def __init__(self, folder):
        self.dir = folder
        self.ca, self.ca_key = folder / "ca.pem", folder / "ca-key.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.ca_key, "-out", self.ca, "-days", "1", "-subj", "/CN=test ca")

    def issue(self, name, cn, san="IP:127.0.0.1,DNS:localhost", usage="serverAuth,clientAuth"):
        cert, key, csr, ext = (self.dir / f"{name}{e}" for e in (".pem", "-key.pem", ".csr", ".ext"))
        ext.write_text(f"subjectAltName={san}\nextendedKeyUsage={usage}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                key, "-out", csr, "-subj", f"/CN={cn}")
        openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial",
                "-days", "1", "-extfile", ext, "-out", cert)
        return cert, key


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def tls_server(new_server, pki):
    """A function: starts a TLS server with further flags."""
    cert, key = pki.issue("server", "server")

    def start(*args):
        s = new_server(scheme="https", args=["--cert-file", cert, "--key-file", key, *map(str, args)])
        s.args = list(map(str, s.args))
        return s.start()
    return start


def credentials(pki, client=None):
    cert, key = (p.read_bytes() for p in client) if client else (None, None)
    return grpc.ssl_channel_credentials(pki.ca.read_bytes(), key, cert)


def secure_api(server, pki, client=None):
    return Api(server.target, credentials(pki, client))


def handshake(server, pki, **kw):
    """The certificate the server shows, and the protocol it chose."""
    context = ssl.create_default_context(cafile=str(pki.ca))
    for name, value in kw.items():
        setattr(context, name, value)
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
            return s.getpeercert(), s.selected_alpn_protocol(), s.version()


def test_calls_and_streams_over_tls(tls_server, pki):
    s = tls_server()
    with secure_api(s, pki) as api:
        with api.watch() as w:
            w.create(b"k")
            api.Put(key=b"k", value=b"x" * 1_000_000)
            assert len(w.events(1)[0].kv.value) == 1_000_000
    _, alpn, version = handshake(s, pki)
    assert alpn == "h2" and version in ("TLSv1.2", "TLSv1.3")


def test_etcdctl_and_curl_over_tls(tls_server, pki):
    s = tls_server()
    ctl = Ctl(s, flags=[f"--cacert={pki.ca}"])
    assert ctl("put", "k", "v") == "OK\n"
    assert ctl("get", "k") == "k\nv\n"
    for extra in ([], ["--http1.1"]):
        out = subprocess.run(["curl", "-sS", "--cacert", str(pki.ca), *extra, s.url + "/health"],
                             check=True, capture_output=True, text=True).stdout
        assert '"health":"true"' in out


def test_cleartext_to_a_tls_port_does_not_get_in(tls_server):
    s = tls_server()
    with Api(s.target) as api, refused(grpc.StatusCode.UNAVAILABLE):
        api.Range(key=b"k")
    assert s.alive()


def test_wrong_ca_is_refused_by_the_client(tls_server, tmp_path):
    s = tls_server()
    with secure_api(s, Pki(tmp_path)) as api, refused(grpc.StatusCode.UNAVAILABLE):
        api.Range(key=b"k")
    assert s.alive()


def test_client_certificates(tls_server, pki, tmp_path):
    s = tls_server("--client-cert-auth", "--trusted-ca-file", pki.ca)
    with secure_api(s, pki, pki.issue("client", "alice")) as api:
        api.Put(key=b"k", value=b"v")
    with secure_api(s, pki) as api, refused(grpc.StatusCode.UNAVAILABLE):
        api.Range(key=b"k")
    stranger = Pki(tmp_path).issue("stranger", "mallory")
    with secure_api(s, pki, stranger) as api, refused(grpc.StatusCode.UNAVAILABLE):
        api.Range(key=b"k")
    ctl = Ctl(s, flags=[f"--cacert={pki.ca}", f"--cert={pki.dir}/client.pem",
                        f"--key={pki.dir}/client-key.pem"])
    assert ctl("get", "k") == "k\nv\n"
    assert s.alive()


def test_revoked_client_certificate_is_refused(tls_server, pki, tmp_path):
    good, bad = pki.issue("good", "good"), pki.issue("bad", "bad")
    (tmp_path / "index.txt").write_text("")
    (tmp_path / "number").write_text("01\n")
    conf = tmp_path / "ca.conf"
    conf.write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={tmp_path}/index.txt\ndefault_md=sha256\n"
                    f"crlnumber={tmp_path}/number\ndefault_crl_days=1\n")
    flags = ["-config", conf, "-cert", pki.ca, "-keyfile", pki.ca_key]
    openssl("ca", *flags, "-revoke", bad[0])
    openssl("ca", *flags, "-gencrl", "-out", tmp_path / "crl.pem")
    s = tls_server("--client-cert-auth", "--trusted-ca-file", pki.ca, "--client-crl-file",
                   tmp_path / "crl.pem")
    with secure_api(s, pki, good) as api:
        api.Put(key=b"k", value=b"v")
    with secure_api(s, pki, bad) as api, refused(grpc.StatusCode.UNAVAILABLE):
        api.Range(key=b"k")


def test_certificates_are_reloaded_without_restart(new_server, pki, tmp_path):
    live = [tmp_path / "live.pem", tmp_path / "live-key.pem"]

    def install(name):
        for source, target in zip(pki.issue(name, name), live):
            shutil.copy(source, tmp_path / "new")
            (tmp_path / "new").rename(target)
    install("first")
    s = new_server(scheme="https", args=["--cert-file", str(live[0]), "--key-file", str(live[1])])
    s.start()
    with secure_api(s, pki) as old:
        old.Put(key=b"k", value=b"v")

        def name():
            return dict(x[0] for x in handshake(s, pki)[0]["subject"])["commonName"]
        assert name() == "first"
        install("second")
        deadline = time.monotonic() + 10
        while name() != "second":
            assert time.monotonic() < deadline, "the new certificate is not served"
            time.sleep(0.1)
        assert old.Range(key=b"k").count == 1, "the old connection lives on"
    with secure_api(s, pki) as api:
        assert api.Range(key=b"k").count == 1


@needs_ours
def test_broken_new_certificate_leaves_the_old_one(new_server, pki, tmp_path):
    cert, key = pki.issue("keep", "keep")
    live = [tmp_path / "live.pem", tmp_path / "live-key.pem"]
    for source, target in zip((cert, key), live):
        shutil.copy(source, target)
    s = new_server(scheme="https", args=["--cert-file", str(live[0]), "--key-file", str(live[1])])
    s.start()
    live[0].write_text("not a certificate")
    time.sleep(1.5)
    with secure_api(s, pki) as api:
        api.Put(key=b"k", value=b"v")
    assert "live.pem" in s.log


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_versions_are_refused(tls_server, pki):
    s = tls_server()
    with pytest.raises((ssl.SSLError, OSError)):
        handshake(s, pki, minimum_version=ssl.TLSVersion.TLSv1,
                  maximum_version=ssl.TLSVersion.TLSv1_1)


def test_missing_or_wrong_files_are_said_at_start(new_server, pki, tmp_path):
    cert, key = pki.issue("some", "some")
    (tmp_path / "bad.pem").write_text("nonsense")
    for args in (["--cert-file", str(tmp_path / "none.pem"), "--key-file", str(key)],
                 ["--cert-file", str(tmp_path / "bad.pem"), "--key-file", str(key)]):
        s = new_server(scheme="https", args=args)
        s.spawn()
        assert s.wait_exit() > 0
        assert s.log


@needs_ours
def test_wrong_files_are_named(new_server, pki, tmp_path):
    cert, _ = pki.issue("some", "some")
    _, other_key = pki.issue("other", "other")
    (tmp_path / "bad.pem").write_text("nonsense")
    for args, name in ((["--cert-file", str(tmp_path / "none.pem"), "--key-file", str(other_key)],
                        "none.pem"),
                       (["--cert-file", str(tmp_path / "bad.pem"), "--key-file", str(other_key)],
                        "bad.pem"),
                       (["--cert-file", str(cert), "--key-file", str(other_key)], "other-key.pem")):
        s = new_server(scheme="https", args=args)
        s.spawn()
        assert s.wait_exit() > 0
        assert name in s.log


def test_auto_tls(new_server):
    s = new_server(scheme="https", args=["--auto-tls"]).start()
    out = subprocess.run(["curl", "-sSk", s.url + "/health"], check=True, capture_output=True,
                         text=True).stdout
    assert '"health":"true"' in out


def test_half_a_handshake_disturbs_nobody(tls_server, pki):
    s = tls_server()
    lingering = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(20)]
    for i, c in enumerate(lingering):
        c.sendall(b"\x16\x03\x01\x02\x00\x01"[:i % 7])
    with secure_api(s, pki) as api:
        api.Put(key=b"k", value=b"v")
    for c in lingering:
        c.close()


def test_garbage_instead_of_a_handshake_disturbs_nobody(tls_server, pki):
    s = tls_server()
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000, b"\x16\x03\x01\xff\xff" + b"x" * 70000):
        with socket.create_connection(("127.0.0.1", s.port), timeout=5) as c:
            try:
                c.sendall(garbage)
                c.shutdown(socket.SHUT_WR)
                while c.recv(4096):
                    pass
            except OSError:
                pass
    with secure_api(s, pki) as api:
        api.Put(key=b"k", value=b"v")
