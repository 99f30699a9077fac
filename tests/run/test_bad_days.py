"""Full disks, lost files and links: each is named, and the last good state is used."""

import json
import resource
import shutil
from contextlib import contextmanager

import pytest
from power_cuts import cut_short
from small_runs import CONFIG, records, rows, weights

import motet
from motet import writing
from motet.problems import InputError
from motet.training import TrainingError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    return motet.train(CONFIG, data=rows(), output=path).path


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """A run that died in its second epoch."""
    cut_short(CONFIG, tmp_path / "parts", monkeypatch, 9, data=rows())
    return tmp_path / "parts"


# Full disks --------------------------------------------------------------------------------------


@contextmanager
def full_at(count, monkeypatch):
    """Let the operating system refuse more than 5 bytes in the ``count``-th file written."""
    written, really = [], writing.writing

    @contextmanager
    def limited(path):
        written.append(path)
        with really(path):
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            if len(written) == count:
                resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    with monkeypatch.context() as patched:
        patched.setattr("motet.writing.writing", limited)
        patched.setattr("motet.run.folder.writing", limited)
        yield written


@pytest.mark.parametrize("apart", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_disk_that_is_full_at_any_file_stops_the_run_and_loses_nothing(
    whole, tmp_path, monkeypatch, apart
):
    refused, resumed = [], 0
    for count in range(1, 100, apart):
        path = tmp_path / str(count)
        with full_at(count, monkeypatch) as written:
            try:
                motet.train(CONFIG, data=rows(), output=path)
            except TrainingError as error:
                message = str(error)
            else:
                if len(written) < count:
                    break
                continue  # nothing was written, as when the disk is asked to keep what it has
        assert message.startswith(f"{written[-1]} cannot be written: ")
        refused.append(written[-1])
        if path.exists():
            assert message.endswith(f"then continue with: motet resume {path}")
            assert weights(motet.resume(path, rows()).path) == weights(whole)
            assert records(path) == records(whole)
            resumed += 1
        else:
            assert message.endswith("then start again")
    assert resumed
    if apart == 1:
        every = {_kind(each) for each in whole.rglob("*") if each.is_file()}
        assert set(map(_kind, refused)) == every


def _kind(path):
    return "checkpoint" if path.name.startswith("step-") else path.name


# Records -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda content: None, 0),
        (lambda content: content[:-20], 1),
        (lambda content: content.replace(b'"step"', b'"stop"', 1), 2),
        (lambda content: b"\xff" + content[1:], 1),
        (lambda content: b"\0" * len(content), 0),
        (lambda content: b"[" * 100_000 + b"\n" + content, 0),
    ],
)
def test_lost_records_are_reported_and_the_model_is_the_same(whole, parts, damage, kept):
    path = parts / "metrics.jsonl"
    content = damage(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"removed, cut or changed.*; {kept} of its records"):
        run = motet.resume(parts, rows())
    assert weights(run.path) == weights(whole)
    for line in path.read_text().splitlines():
        json.loads(line)


def test_a_torn_last_line_is_no_damage(whole, parts):
    with (parts / "metrics.jsonl").open("a") as file:
        file.write('{"event": "ep')
    assert motet.resume(parts, rows()).history.records[0] == motet.load(whole).history.records[
        0
    ] | {"seconds": motet.load(parts).history.records[0]["seconds"]}


# Links and copies --------------------------------------------------------------------------------


def test_a_run_that_was_moved_or_copied_or_is_a_link_resumes(whole, parts, tmp_path):
    shutil.copytree(parts, tmp_path / "copied")
    (tmp_path / "link").symlink_to(tmp_path / "copied")
    parts.rename(tmp_path / "moved")
    assert weights(motet.resume(tmp_path / "moved", rows()).path) == weights(whole)
    assert weights(motet.resume(tmp_path / "link", rows()).path) == weights(whole)


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints", "model", ".lock"])
def test_nothing_is_written_through_a_link_out_of_the_folder(parts, tmp_path, name):
    outside = tmp_path / "outside"
    if (parts / name).is_dir() or name == "model":
        outside.mkdir()
        shutil.rmtree(parts / name, ignore_errors=True)
    else:
        outside.write_text("mine")
        (parts / name).unlink(missing_ok=True)
    (parts / name).symlink_to(outside)
    with pytest.raises(InputError, match=r"is a link that leads out of|cannot be written"):
        motet.resume(parts, rows())
    assert outside.is_dir() or outside.read_text() == "mine"


# Checkpoints -------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_version_is_named(parts, monkeypatch):
    from motet.training.checkpoint import read_checkpoint, write_checkpoint

    path = max((parts / "checkpoints" / "last").iterdir())
    tensors, header = read_checkpoint(path)
    del header["progress"]["step"]
    write_checkpoint(path, tensors, header | {"motet": "9.9"})
    with pytest.raises(InputError, match=rf"{path.name}, which motet 9.9 wrote, does not fit"):
        motet.resume(parts, rows())
