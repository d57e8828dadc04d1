"""The files of a stopped server, and harm done to them."""
import mmap
import shutil


def wal_files(data_dir):
    return sorted((data_dir / "member/wal").glob("*.wal"))


def database(data_dir):
    return data_dir / "member/snap/db"


def content_end(path):
    """Bytes up to the last one that is not zero: where a preallocated file's content ends."""
    data = path.read_bytes()
    return len(data.rstrip(b"\0"))


def flip(path, offset, mask=0x10):
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        m[offset] ^= mask


def zero(path, start, end):
    with open(path, "r+b") as f:
        f.seek(start)
        f.write(b"\0" * (end - start))


def find(path, needle):
    """Offsets of every occurrence."""
    data, found, at = path.read_bytes(), [], -1
    while (at := data.find(needle, at + 1)) >= 0:
        found.append(at)
    return found


class Saved:
    """A copy of a data directory, to harm again and again."""

    def __init__(self, server):
        self.server = server
        self.copy = server.dir / "saved"
        shutil.copytree(server.data_dir, self.copy)

    def restore(self):
        shutil.rmtree(self.server.data_dir)
        shutil.copytree(self.copy, self.server.data_dir)
