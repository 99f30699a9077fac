"""Shell completion: commands, options, kinds of member, and the tasks of a config or run."""

import os
import shutil
import subprocess
import sys

import pytest

from motet import cli

CONFIG = "tasks: {churn: classification, cost: {type: regression}, spend: regression}\n"


@pytest.fixture
def offered(tmp_path, monkeypatch, capsys):
    """What bash offers for the last word of a line, in a folder with a config and a run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people.yaml").write_text(CONFIG)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(CONFIG)
    (tmp_path / "broken.yaml").write_text("tasks: {churn: [\n")

    def offer(line):
        words = line.split(" ")
        monkeypatch.setenv("_MOTET_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setattr(sys, "argv", ["motet"])
        with pytest.raises(SystemExit):
            cli.main()
        out, err = capsys.readouterr()
        assert err == ""
        return out.split()

    return offer


def test_commands_and_their_options_are_offered(offered):
    assert offered("motet pre") == ["predict"]
    assert offered("motet train people.yaml --pro") == ["--processes"]


@pytest.mark.parametrize("line", ["train people.yaml", "evaluate run", "predict run"])
def test_tasks_are_those_of_the_config_or_run_that_was_typed_before(offered, line):
    assert offered(f"motet {line} --tasks ") == ["churn", "cost", "spend"]
    assert offered(f"motet {line} --tasks c") == ["churn", "cost"]
    assert offered(f"motet {line} --tasks=c") == ["churn", "cost"]


def test_after_a_comma_the_other_tasks_are_offered(offered):
    assert offered("motet train people.yaml --tasks churn,") == ["churn,cost", "churn,spend"]
    assert offered("motet train people.yaml --tasks churn,s") == ["churn,spend"]


@pytest.mark.parametrize(
    "line", ["train broken.yaml", "train missing.yaml", "evaluate missing", "train"]
)
def test_no_task_is_offered_where_there_is_none_to_read(offered, line):
    assert offered(f"motet {line} --tasks ") == []


def test_kinds_of_member_are_offered(offered):
    assert "balancers" in offered("motet list ")
    assert offered("motet list bala") == ["balancers"]


def test_paths_are_left_to_the_shell(offered):
    assert offered("motet train ") == offered("motet predict r") == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_bash_completes_by_the_script_that_motet_installs(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "motet").write_text(f'#!/bin/sh\nexec {sys.executable} -m motet "$@"\n')
    (folder / "motet").chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    (tmp_path / "people.yaml").write_text(CONFIG)
    script = """
    motet --install-completion > /dev/null || exit 1
    source ~/.bash_completions/motet.sh
    COMP_WORDS=(motet train people.yaml --tasks s) COMP_CWORD=4
    _motet_completion motet
    echo "${COMPREPLY[@]}"
    complete -p motet
    """
    found = subprocess.run(
        [shutil.which("bash"), "--norc", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.splitlines() == ["spend", "complete -o default -F _motet_completion motet"]
