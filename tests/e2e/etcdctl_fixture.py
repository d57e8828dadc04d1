"""Two equal etcd servers, one driven by our etcdctl and one by Debian's, so that the same commands
leave both at the same revision and their outputs can be compared byte for byte.

PEER_ETCD: the server (default /usr/bin/etcd). OUR_ETCDCTL: our etcdctl (default build/bin/etcdctl).
ETCDCTL_REF: the reference (default /usr/bin/etcdctl)."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ETCD = os.environ.get("PEER_ETCD", "/usr/bin/etcd")
OURS = os.environ.get("OUR_ETCDCTL", os.path.join(ROOT, "build", "bin", "etcdctl"))
REF = os.environ.get("ETCDCTL_REF", "/usr/bin/etcdctl")


def missing():
    """Why these tests cannot run here, or None."""
    for path in (ETCD, OURS, REF):
        if not os.access(path, os.X_OK):
            return f"{path} is not there"
    return None


def free_ports(n):
    socks = [socket.socket() for _ in range(n)]
    for s in socks:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


class Server:
    def __init__(self, tls=None):
        """tls: a directory made by make_certificates, to serve TLS and want client certificates."""
        self.tls = tls
        self.dir = tempfile.mkdtemp(prefix="etcdctl-compat-")
        self.client, self.peer = free_ports(2)
        self.proc = None
        self.start()

    def start(self):
        client = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.client}"
        peer = f"http://127.0.0.1:{self.peer}"
        # Ids are made from the advertised URL: the same one gives both servers the same ids. A
        # single member never dials it.
        name = "http://127.0.0.1:2380"
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.proc = subprocess.Popen(
            [ETCD, "--data-dir", os.path.join(self.dir, "data"), "--listen-client-urls", client,
             "--advertise-client-urls", client, "--listen-peer-urls", peer,
             "--initial-advertise-peer-urls", name, "--initial-cluster", f"default={name}",
             *self.tls_flags()],
            stdout=self.log, stderr=self.log)
        for _ in range(200):
            done = run(REF, self, ["endpoint", "health", "--command-timeout=1s",
                                   *client_tls(self.tls)])
            if done.returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError(open(self.log.name).read()[-2000:])

    def tls_flags(self):
        if not self.tls:
            return []
        return ["--cert-file", f"{self.tls}/server.pem", "--key-file", f"{self.tls}/server.key",
                "--trusted-ca-file", f"{self.tls}/ca.pem", "--client-cert-auth"]

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.client}"

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(10)
        self.log.close()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir)


def client_tls(directory):
    if not directory:
        return []
    return ["--cacert", f"{directory}/ca.pem", "--cert", f"{directory}/client.pem", "--key",
            f"{directory}/client.key"]


def make_certificates(directory):
    """ca, another ca, and a server's and a client's certificate for 127.0.0.1, with keys."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)
    for ca in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{ca}.key", "-out",
                f"{ca}.pem", "-subj", f"/CN={ca}", "-days", "2")
    with open(os.path.join(directory, "extensions"), "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n"
                "extendedKeyUsage=serverAuth,clientAuth\n")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out",
                f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "extensions")
    return str(directory)


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL_")}
    env["ETCDCTL_API"] = "3"
    env.update(extra or {})
    return env


def run(ctl, server, args, stdin=b"", env=None, timeout=20):
    return subprocess.run([ctl, "--endpoints", server.endpoint, *args], input=stdin,
                          env=environment(env), capture_output=True, timeout=timeout)


def start(ctl, server, args, env=None):
    return subprocess.Popen([ctl, "--endpoints", server.endpoint, *args], env=environment(env),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Side:
    """One etcdctl with its server, and what has to be made equal before comparing."""

    def __init__(self, ctl):
        self.ctl = ctl
        self.server = Server()
        self.leases = []

    def run(self, args, stdin=b"", env=None):
        args = [a.format(*[f"{x:016x}" for x in self.leases]) if "{" in a else a for a in args]
        return run(self.ctl, self.server, args, stdin, env)

    def note_lease(self, stdout):
        found = re.search(rb"lease ([0-9a-f]{16}) granted", stdout)
        if found:
            self.leases.append(int(found.group(1), 16))

    def normal(self, text):
        """Output without what differs from server to server and from run to run."""
        for i, number in enumerate(self.leases):
            for form in (str(number), f"{number:x}"):
                text = text.replace(form.encode(), f"LEASE{i}".encode())
        text = text.replace(str(self.server.client).encode(), b"PORT")
        text = re.sub(rb"[0-9.]+(ms|\xc2\xb5s|s)\b(?=\"|$| )", b"TIME", text, flags=re.M)
        text = re.sub(rb"remaining\(\d+s\)", b"remaining(TIME)", text)
        return re.sub(rb"\"(raft_term|raftIndex|raftAppliedIndex|dbSize\w*)\":\d+", b"", text)

    def error(self, stderr):
        """The last line, which scripts look at; log lines are the reference's own."""
        lines = [x for x in stderr.splitlines() if x and not x.startswith(b'{"level"')]
        return self.normal(lines[-1]) if lines else b""
