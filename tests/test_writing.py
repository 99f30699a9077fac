"""Files appear whole or not at all, whoever writes them at the same time."""

import os
import threading

import pytest
import torch

from motet.training.checkpoint import read_checkpoint, write_checkpoint
from motet.writing import replacing


def write_half(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "a.txt")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(tmp_path, monkeypatch):
    path, synced = tmp_path / "a.txt", []
    path.write_text("old")
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append((os.fstat(file).st_size, path.read_text()))
    )
    with replacing(path) as temporary:
        temporary.write_text("newer")
    assert synced == [(5, "old")]
    assert path.read_text() == "newer"


def test_two_threads_that_write_one_file_do_not_meet(tmp_path):
    barrier, paths, errors = threading.Barrier(2, timeout=30), [], []

    def write(text):
        try:
            with replacing(tmp_path / "a.txt") as path:
                paths.append(path)
                barrier.wait()
                path.write_text(text)
                barrier.wait()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(paths)) == 2
    (left,) = tmp_path.iterdir()
    assert left.read_text() in ("one", "two")


def test_threads_may_write_one_checkpoint_at_the_same_time(tmp_path):
    tensors, errors = {"x": torch.arange(50_000.0)}, []

    def write():
        try:
            for _ in range(5):
                write_checkpoint(tmp_path / "x.safetensors", tensors, {})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert torch.equal(read_checkpoint(tmp_path / "x.safetensors")[0]["x"], tensors["x"])
    assert len(list(tmp_path.iterdir())) == 1
