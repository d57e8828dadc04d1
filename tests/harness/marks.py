"""Which server is under test, and marks for tests that expect more than every etcd promises."""
import os
import pathlib

import pytest

from harness.server import etcd_binary, peer_binary, version_of

VERSION = version_of(etcd_binary())
OURS = b"Go buildinf:" not in pathlib.Path(etcd_binary()).read_bytes()

# What 3.6 does and 3.4 does not.
needs_36 = pytest.mark.skipif(VERSION < (3, 6), reason="behaviour of etcd 3.6")
# What only our server promises (limits, damage reports, files of ours).
needs_ours = pytest.mark.skipif(not OURS, reason="a promise of our own server")
needs_peer = pytest.mark.skipif(not peer_binary(), reason="Debian's etcd-server is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
