"""One etcd process of any make, on free loopback ports with its data in a temporary directory."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness.api import ROOT, Api

READY = "ready to serve client requests"
START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 20
# Real disk: /tmp may be memory, where an fdatasync means nothing.
SCRATCH = os.environ.get("STEAD_SCRATCH", "/var/tmp")


def etcd_binary():
    return os.environ.get("ETCD_BIN", str(ROOT / "build/bin/etcd"))


def peer_binary():
    """The etcd we compare with, or None."""
    path = os.environ.get("PEER_ETCD", "/usr/bin/etcd")
    return path if os.access(path, os.X_OK) else None


def version_of(binary):
    """(3, 4, 23)"""
    out = subprocess.run([binary, "--version"], check=True, text=True, capture_output=True).stdout
    return tuple(map(int, re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", out).groups()))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def scratch_dir(name):
    return pathlib.Path(tempfile.mkdtemp(prefix=f"stead-{name}-", dir=SCRATCH))


def inherited_environment():
    """ETCD_x is configuration to a server: only a test may set it."""
    return {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}


class Server:
    """start() waits until it serves; kill() is kill -9; data stays until remove()."""

    def __init__(self, binary=None, args=(), env=None, scheme="http", directory=None, name="default"):
        self.binary = binary or etcd_binary()
        self.args = list(args)
        self.env = env or {}
        self.scheme = scheme
        self.name = name
        self.dir = pathlib.Path(directory) if directory else scratch_dir("e2e")
        self.data_dir = self.dir / "data"
        self.log_path = self.dir / "log"
        self.port, self.peer_port = free_ports(2)
        self.process = None
        self._api = None

    # ---- where it is ----------------------------------------------------------------------------

    @property
    def target(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.target}"

    @property
    def api(self):
        if not self._api:
            self._api = Api(self.target)
        return self._api

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def pid(self):
        return self.process.pid

    def command(self):
        peer = f"http://127.0.0.1:{self.peer_port}"
        return [self.binary, "--name", self.name, "--data-dir", str(self.data_dir),
                "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"{self.name}={peer}", *self.args]

    # ---- life -------------------------------------------------------------------------------------

    def spawn(self):
        """Starts the process without waiting for anything."""
        with open(self.log_path, "ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.dir,
                                            env={**inherited_environment(), **self.env})
        return self

    def start(self, timeout=START_TIMEOUT_S):
        self.spawn()
        self.wait_ready(timeout)
        return self

    def fresh_log(self):
        """What was logged since the last start."""
        with open(self.log_path, "rb") as f:
            f.seek(self._log_start)
            return f.read().decode(errors="replace")

    def wait_ready(self, timeout=START_TIMEOUT_S):
        self.wait_log(READY, timeout)

    def wait_log(self, text, timeout=START_TIMEOUT_S):
        deadline = time.monotonic() + timeout
        while text not in self.fresh_log():
            if self.process.poll() is not None:
                raise AssertionError(f"etcd ended with {self.process.returncode}:\n" +
                                     self.fresh_log()[-4000:])
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} in {timeout} s:\n" + self.fresh_log()[-4000:])
            time.sleep(0.005)

    def wait_exit(self, timeout=STOP_TIMEOUT_S):
        """The exit status of a process that ends by itself."""
        return self.process.wait(timeout)

    def _end(self, sig):
        if self._api:
            self._api.close()
            self._api = None
        if not self.process or self.process.poll() is not None:
            return self.process and self.process.returncode
        self.process.send_signal(sig)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"etcd did not end {STOP_TIMEOUT_S} s after {sig}")

    def stop(self):
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self):
        """kill -9."""
        return self._end(signal.SIGKILL)

    def restart(self):
        self.stop()
        return self.start()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def remove(self):
        """Ends it and its data. What a sanitizer said in its life is raised here."""
        self.kill()
        found = re.search(r"^.*(Sanitizer|runtime error:).*$", self.log, re.M)
        said = self.log[found.start():][:4000] if found else None
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not said, said

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()
