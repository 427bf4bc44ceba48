"""MNIST's files: found, verified, unpacked and downloaded; F16 and F42 of the table of faults.

The files are fabricated, three small pictures each, and so are the checksums; the server is here.
"""

import dataclasses
import gzip
import hashlib
import importlib
import os
import shutil
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from torchvision import datasets

from belamy.data import fashion_mnist, mnist
from belamy.errors import FileError, InputError

module = importlib.import_module("belamy.data.mnist")  # the package's `mnist` is a function


def idx_images(count, start=0):
    header = struct.pack(">4I", 2051, count, 28, 28)
    return header + bytes((start + i) % 256 for i in range(count * 784))


def idx_labels(count, last=9):
    return struct.pack(">2I", 2049, count) + bytes([*range(count - 1), last])


FILES = {
    "train-images-idx3-ubyte": idx_images(5),
    "train-labels-idx1-ubyte": idx_labels(5),
    "t10k-images-idx3-ubyte": idx_images(3, start=7),
    "t10k-labels-idx1-ubyte": idx_labels(3),
}


def sha256s(files):
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, the fabricated files' checksums, and no mirror."""
    monkeypatch.setenv("BELAMY_CACHE", str(tmp_path / "cache"))
    for key in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(key, "127.0.0.1")
    use(monkeypatch)
    return tmp_path / "cache"


def use(monkeypatch, files=FILES, mirrors=()):
    for key in ("MNIST", "FASHION"):
        source = dataclasses.replace(
            getattr(module, key), sha256=sha256s(files), mirrors=tuple(mirrors)
        )
        monkeypatch.setattr(module, key, source)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def put(root, files=FILES, packed=True):
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if packed:
            (root / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (root / name).write_bytes(content)


def kept(cache):
    return sorted(p.name for p in cache.rglob("*") if p.is_file())


# Files at hand


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", [".", "raw", "MNIST/raw"])
def test_files_at_hand_are_read_wherever_they_lie(root, cache, packed, below):
    put(root / below, packed=packed)
    before = sorted(root.rglob("*"))
    train, test = mnist("train", root), mnist("test", root=str(root))
    assert train.images.shape == (5, 1, 28, 28) and train.labels.tolist() == [0, 1, 2, 3, 9]
    assert bytes(test.images.flatten().tolist()) == FILES["t10k-images-idx3-ubyte"][16:]
    assert (train.name, test.name) == ("MNIST train", "MNIST test")
    assert kept(cache) == sorted(FILES)
    assert sorted(root.rglob("*")) == before, "the given folder is only read"


def test_torchvision_finds_what_was_stored(root, cache):
    put(root)
    ours = fashion_mnist("test", root)
    theirs = datasets.FashionMNIST(cache, train=False, download=False)
    assert torch.equal(theirs.data, ours.images[:, 0])
    assert ours.name == "FashionMNIST test"


def test_any_packing_of_the_right_content_is_accepted(root):
    put(root)
    for name, content in FILES.items():
        (root / f"{name}.gz").write_bytes(gzip.compress(content, 1, mtime=1))
    assert len(mnist("train", root)) == 5


def test_missing_files_are_named_and_where_they_were_looked_for(root):
    put(root)
    (root / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileError, match=r"root lacks t10k-labels-idx1-ubyte\[.gz\]") as error:
        mnist("train", root)
    assert "train-images" not in str(error.value)


def test_without_download_an_empty_cache_is_an_error_that_names_all_four(cache):
    with pytest.raises(FileError, match="download=True") as error:
        mnist(download=False)
    assert all(name in str(error.value) for name in FILES)
    assert not cache.exists()


@pytest.mark.parametrize("root", [3, ["a"], "~nobody-of-this-name/x"], ids=repr)
def test_what_is_no_path_is_refused(root):
    with pytest.raises(InputError, match="is no path of a folder"):
        mnist("train", root)


@pytest.mark.parametrize("split", [None, ["train"], 0, ""], ids=repr)
def test_what_is_no_split_is_refused(split):
    with pytest.raises(InputError, match="is neither 'train' nor 'test'"):
        fashion_mnist(split)


@pytest.mark.parametrize("form", [str, os.fsencode])
def test_a_root_may_be_given_in_any_form(root, form):
    put(root)
    assert len(mnist("train", form(root))) == 5


def test_unknown_split():
    with pytest.raises(InputError, match="'validation' is neither"):
        mnist("validation")


# F16: damaged files


def wrong_magic(content):
    return struct.pack(">I", 1234) + content[4:]


def wrong_count(content):
    return content[:4] + struct.pack(">I", 6) + content[8:]


DAMAGE = {
    "wrong magic": ("train-images-idx3-ubyte", wrong_magic, "magic number 2051"),
    "labels for images": ("train-labels-idx1-ubyte", lambda _: idx_images(5), "number 2049"),
    "wrong count": ("train-images-idx3-ubyte", wrong_count, "announces 4,704 .* holds 3,920"),
    "fewer labels": ("train-labels-idx1-ubyte", lambda x: x[:-1], "announces 5 .* holds 4"),
    "no more than a header": ("train-images-idx3-ubyte", lambda x: x[:6], "announces"),
    "label above 9": ("t10k-labels-idx1-ubyte", lambda _: idx_labels(3, 10), "the label 10"),
    "nothing": ("t10k-labels-idx1-ubyte", lambda _: b"", "magic number 2049"),
}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("case", DAMAGE)
def test_f16_a_wrong_file_is_named_with_what_is_wrong(root, cache, monkeypatch, case, packed):
    name, damage, says = DAMAGE[case]
    files = {**FILES, name: damage(FILES[name])}
    use(monkeypatch, files)  # not even a matching checksum helps it
    put(root, files, packed)
    with pytest.raises(FileError, match=f"{name}.* {says}.*Replace it"):
        mnist("train", root)
    assert name not in kept(cache)


def test_f16_a_wrong_checksum_is_refused(root, cache):
    name = "train-images-idx3-ubyte"
    put(root, {**FILES, name: FILES[name][:-1] + b"x"})
    with pytest.raises(FileError, match=f"{name}.gz has sha256 .* which should be"):
        mnist("train", root)
    assert name not in kept(cache)


@pytest.mark.parametrize(
    "damage",
    [lambda z: z[: len(z) // 2], lambda z: z[:-4], lambda z: z[:10] + b"\xff" * 9 + z[19:]],
    ids=["half", "no end", "overwritten"],
)
def test_f16_a_damaged_gzip_is_refused(root, cache, damage):
    name = "train-images-idx3-ubyte"
    put(root)
    file = root / f"{name}.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(FileError, match=f"{name}.gz cannot be read"):
        mnist("train", root)
    assert name not in kept(cache)


def test_f16_a_bomb_is_unpacked_to_a_limit_only(root, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100_000)
    put(root)
    bomb = FILES["train-images-idx3-ubyte"] + bytes(10_000_000)
    (root / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bomb))
    with pytest.raises(FileError, match="announces 3,920 .* holds 99,984"):
        mnist("train", root)


def test_a_damaged_file_in_the_cache_is_replaced(root, cache):
    put(root)
    mnist("train", root)
    file = cache / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(FileError, match="damaged: train-images-idx3-ubyte.*"):
        mnist("train", download=False)
    mnist("train", root)
    assert file.read_bytes() == FILES["train-images-idx3-ubyte"]


def test_a_cache_that_cannot_be_written_says_so(root, cache):
    put(root)
    cache.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(FileError, match="cannot be stored in .* set BELAMY_CACHE"):
        mnist("train", root)


# Downloads


@pytest.fixture
def server():
    """A server of FILES in folders that each go wrong in their own way; it keeps its log."""
    requests, stalled = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            kind, file = self.path.strip("/").split("/")
            body = gzip.compress(FILES[file.removesuffix(".gz")])
            status, announced, headers = 200, len(body), {}
            if kind == "html":
                body = b"<html>Please log in</html>"
                announced = len(body)
            elif kind == "missing":
                status, body, announced = 404, b"", 0
            elif kind == "drops":
                body = body[: len(body) // 2]
            elif kind == "lies":
                announced = len(body) // 2
            elif kind == "other":
                body = gzip.compress(FILES["t10k-images-idx3-ubyte"])
                announced = len(body)
            elif kind == "stalls":
                stalled.wait(10)
            elif kind == "sends":
                status, body, announced = 302, b"", 0
                headers = {"Location": f"/good/{file}"}
            elif kind == "tampered":  # of the right size and kind
                name = file.removesuffix(".gz")
                body = gzip.compress(FILES[name][:-1] + bytes([FILES[name][-1] ^ 1]))
                announced = len(body)
            elif kind == "unpacks":
                headers = {"Content-Encoding": "gzip"}
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(announced)}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    httpd.requests = requests
    httpd.at = lambda kind: f"http://127.0.0.1:{httpd.server_port}/{kind}"
    yield httpd
    stalled.set()
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.mark.parametrize("kind", ["good", "unpacks"])
def test_files_are_downloaded_once(server, cache, monkeypatch, capfd, kind):
    use(monkeypatch, mirrors=[server.at(kind)])
    assert len(mnist("train")) == 5
    said = "".join(capfd.readouterr())
    assert str(cache) not in said and server.at(kind) not in said, "no path of this machine"
    assert sorted(server.requests) == sorted(f"/{kind}/{name}.gz" for name in FILES)
    assert kept(cache) == sorted(FILES)
    mnist("test")
    assert len(server.requests) == 4, "what is in the cache is not asked for again"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("html", "is no IDX file .*<html>"),
        ("missing", "404"),
        ("drops", "IncompleteRead|cannot be read|Connection broken"),
        ("lies", "cannot be read"),
        ("other", "announces|sha256|is no IDX"),
        ("tampered", "has sha256 .* which should be"),
        ("stalls", "timed out"),
    ],
)
def test_f42_a_bad_mirror_is_told_of_and_leaves_nothing(server, cache, monkeypatch, kind, says):
    use(monkeypatch, mirrors=[server.at(kind)])
    monkeypatch.setattr(module, "SECONDS", 0.5)
    with pytest.raises(FileError, match=f"could not be downloaded .*{kind}.*({says}).* as root"):
        mnist("train")
    assert kept(cache) == []


def test_f42_the_next_mirror_is_tried(server, cache, monkeypatch):
    use(monkeypatch, mirrors=[server.at(k) for k in ("missing", "html", "drops", "other", "good")])
    assert len(mnist("train")) == 5
    assert kept(cache) == sorted(FILES)


def test_f42_without_a_network_every_mirror_is_named(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    use(monkeypatch, mirrors=[f"http://127.0.0.1:{port}/{name}" for name in "ab"])
    with pytest.raises(FileError, match="/a .*refused.*/b .*refused.*Try again later"):
        mnist("train")


def test_f42_only_what_is_missing_is_fetched(server, cache, root, monkeypatch):
    put(root)
    mnist("train", root)
    (cache / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    shutil.rmtree(root)
    use(monkeypatch, mirrors=[server.at("good")])
    mnist("train")
    assert server.requests == ["/good/t10k-labels-idx1-ubyte.gz"]


def test_the_published_checksums_are_four_each():
    fresh = importlib.util.module_from_spec(module.__spec__)
    module.__spec__.loader.exec_module(fresh)
    for source in (fresh.MNIST, fresh.FASHION):
        assert set(source.sha256) == set(FILES) and len(set(source.sha256.values())) == 4
        assert all(len(value) == 64 and int(value, 16) for value in source.sha256.values())


def test_f39_a_full_disk_leaves_nothing_and_says_what_to_do(root, cache, monkeypatch):
    put(root)
    write = module.Path.write_bytes

    def full(path, content):
        write(path, content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Path, "write_bytes", full)
    with pytest.raises(FileError, match="cannot be stored in .*No space left .*Make room or set"):
        mnist("train", root)
    assert kept(cache) == []


def test_f40_a_file_of_the_cache_that_may_not_be_read_is_named(cache, root, as_nobody):
    put(root)
    mnist("train", root)
    file = cache / "MNIST" / "raw" / "train-images-idx3-ubyte"
    assert file.stat().st_mode & 0o044 == 0o044, "a cache may be shared"
    file.chmod(0)
    said = as_nobody(
        "from belamy.data import mnist\nfrom belamy.errors import FileError\n"
        f"import importlib, dataclasses\nm = importlib.import_module('belamy.data.mnist')\n"
        f"m.MNIST = dataclasses.replace(m.MNIST, sha256={module.MNIST.sha256!r})\n"
        "try: mnist(download=False)\nexcept FileError as error: print(error)",
        BELAMY_CACHE=str(cache),
    )
    assert "lacks, or has damaged: train-images-idx3-ubyte. " in said


def test_f41_two_that_download_at_once_both_get_the_whole_files(server, cache, monkeypatch):
    use(monkeypatch, mirrors=[server.at("good")])
    with ThreadPoolExecutor(4) as pool:
        sets = list(pool.map(mnist, ["train"] * 4))
    assert len({images.checksum for images in sets}) == 1
    assert kept(cache) == sorted(FILES)


def test_f42_a_mirror_that_sends_on_is_followed(server, cache, monkeypatch):
    use(monkeypatch, mirrors=[server.at("sends")])
    assert len(mnist("train")) == 5
