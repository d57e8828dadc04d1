"""Debian's etcdctl, and ours, against one server."""
import json
import os
import subprocess

from harness.api import ROOT

DEBIAN_ETCDCTL = "/usr/bin/etcdctl"


def our_etcdctl():
    return os.environ.get("OUR_ETCDCTL", str(ROOT / "build/bin/etcdctl"))


class Ctl:
    def __init__(self, server, binary=DEBIAN_ETCDCTL, flags=()):
        self.binary = binary
        self.flags = [f"--endpoints={server.url if server.scheme == 'https' else server.target}",
                      *flags]
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL_")}
        self.env["ETCDCTL_API"] = "3"

    def run(self, *args, stdin=None, timeout=20):
        """The finished process, whatever its exit status."""
        return subprocess.run([self.binary, *self.flags, *args], input=stdin or "", text=True,
                              capture_output=True, timeout=timeout, env=self.env)

    def __call__(self, *args, **kw):
        """Its output; the command must succeed."""
        p = self.run(*args, **kw)
        assert p.returncode == 0, f"etcdctl {args}: exit {p.returncode}\n{p.stdout}{p.stderr}"
        return p.stdout

    def lines(self, *args, **kw):
        return self(*args, **kw).splitlines()

    def json(self, *args, **kw):
        return json.loads(self("-w", "json", *args, **kw))

    def spawn(self, *args):
        return subprocess.Popen([self.binary, *self.flags, *args], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.env)
