"""Fixtures of the end-to-end and damage tests. ETCD_BIN names the server under test (default
build/bin/etcd); with Debian's /usr/bin/etcd the same tests check themselves against upstream."""
import os
import pathlib
import sys

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import pytest  # noqa: E402

from harness.api import Api  # noqa: E402
from harness.ctl import Ctl  # noqa: E402
from harness.server import Server, etcd_binary  # noqa: E402

if not os.access(etcd_binary(), os.X_OK):
    pytest.exit(f"no etcd at {etcd_binary()}: ./dev build makes it, ETCD_BIN names another", 2)

@pytest.fixture
def new_server():
    """A function that makes servers (not started); all are removed at the end."""
    made = []

    def make(**kw):
        made.append(Server(**kw))
        return made[-1]
    yield make
    for s in made:
        s.remove()


@pytest.fixture
def fresh(new_server):
    """A server of this test alone, with an empty store."""
    return new_server().start()


@pytest.fixture(scope="module")
def shared():
    """One server for the tests of a module that do not mind each other's keys."""
    with Server() as s:
        yield s.start()
        assert s.alive(), "the server died during these tests:\n" + s.log[-4000:]


@pytest.fixture
def api(shared):
    with Api(shared.target) as a:
        yield a


@pytest.fixture
def ctl(shared):
    return Ctl(shared)


@pytest.fixture
def key(request):
    """A prefix no other test uses."""
    return request.node.name.encode() + b"/"
