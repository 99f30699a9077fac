"""Members of other installed packages are found by entry points, and imported when used."""

import importlib
import subprocess
import sys

import pytest

import motet
from motet import balancing, installed
from motet.config import json_schema, read
from motet.options import summary
from motet.problems import InputError
from motet.registry import BALANCERS, KINDS

SOURCE = '''
from motet.balancing import LossBalancer
from motet.options import PositiveFloat, checked


class Worst(LossBalancer):
    """Train on the largest loss.

    Args:
        tasks: Names of the tasks.
        power: How strongly.
    """

    @checked
    def __init__(self, tasks: tuple[str, ...], *, power: PositiveFloat = 1.0) -> None:
        super().__init__(tasks)
        self.power = power

    def forward(self, losses, present):
        return (losses ** (1 + self.power)).sum()


def largest_error(predictions, targets):
    """Largest error."""
    return abs(predictions - targets).max()
'''


def write(folder, package, entry_points, source=SOURCE):
    """Write an installed package with one module."""
    (folder / f"{package}.py").write_text(source)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install packages for the length of a test."""
    before = {kind: dict(registry._own) for kind, registry in KINDS.items()}
    packages = []

    def forget():
        importlib.invalidate_caches()
        installed._installed.cache_clear()
        for kind, registry in KINDS.items():
            registry._own.clear()
            registry._own.update(before[kind])
            registry._complete = False
            registry.version += 1

    def add(package, entry_points, source=SOURCE):
        folder = tmp_path / package
        folder.mkdir()
        write(folder, package, entry_points, source)
        monkeypatch.syspath_prepend(str(folder))
        packages.append(package)
        forget()

    yield add
    monkeypatch.undo()
    for package in packages:
        sys.modules.pop(package, None)
    forget()


BOTH = """
[motet.balancers]
worst = motet_worst:Worst
[motet.metrics]
largest = motet_worst:largest_error
"""


def test_a_member_is_listed_without_being_imported(install):
    install("motet_worst", BOTH)
    assert "worst" in balancing.available()
    assert summary(BALANCERS, "worst") == "of the package motet_worst"
    assert read({"tasks": {"a": "regression"}})[0].balancing.type == "equal"
    with pytest.raises(InputError, match="unknown key; did you mean 'balancing'"):
        read({"tasks": {"a": "regression"}, "balancer": "equal"})
    assert "motet_worst" not in sys.modules


def test_a_member_is_made_by_its_name_in_python(install):
    install("motet_worst", BOTH)
    assert balancing.create("worst", ["a", "b"], power=2.0).power == 2.0
    with pytest.raises(InputError, match="has no option 'powr'; did you mean 'power'"):
        balancing.create("worst", ["a", "b"], powr=2.0)
    assert summary(BALANCERS, "worst") == "Train on the largest loss."


def test_a_member_serves_a_run_from_a_file(install, people, tmp_path):
    install("motet_worst", BOTH)
    config = tmp_path / "config.yaml"
    config.write_text(
        "tasks: {spend: {type: regression, metrics: [r2, largest]}}\n"
        "balancing: {type: worst, power: 0.5}\n"
        "training: {epochs: 1}\n"
    )
    run = motet.train(config, people, output=tmp_path / "run")
    assert run.config.balancing.options() == {"power": 0.5}
    assert "largest" in run.history.records[-1]["tasks"]["spend"]
    loaded = motet.load(tmp_path / "run")
    assert loaded.config == run.config
    assert loaded.predict(people).equals(run.predict(people))


@pytest.mark.parametrize(
    ("balancing", "said"),
    [
        ("{type: worst, powr: 2}", "2:26  balancing.powr: unknown key; did you mean 'power'?"),
        ("{type: worst, power: -2}", "2:33  balancing.power: found -2, expected a number > 0"),
        ("wurst", "2:12  balancing: found 'wurst', expected a balancer; did you mean 'worst'?"),
    ],
)
def test_a_mistake_is_reported_at_its_place_as_for_built_in_members(
    install, tmp_path, balancing, said
):
    install("motet_worst", BOTH)
    config = tmp_path / "config.yaml"
    config.write_text(f"tasks: {{a: regression}}\nbalancing: {balancing}\n")
    with pytest.raises(InputError) as caught:
        read(config)
    assert str(caught.value) == f"{config}:{said}"


def test_the_schema_for_editors_describes_the_members_of_all_packages(install):
    install("motet_worst", BOTH)
    form = json_schema()["$defs"]["balancer_balanced_worst"]
    assert form["properties"]["power"]["description"] == "How strongly."


def test_a_package_that_cannot_be_imported_is_named(install, tmp_path):
    install("motet_broken", "[motet.balancers]\nbad = motet_broken:Bad\n", "import no_such_package")
    said = (
        "the balancer 'bad' of the package motet_broken cannot be imported: No module named "
        "'no_such_package'; update motet_broken, or uninstall it"
    )
    with pytest.raises(InputError) as caught:
        balancing.create("bad", ["a"])
    assert str(caught.value) == said
    config = tmp_path / "config.yaml"
    config.write_text("tasks: {a: regression}\nbalancing: bad\ntraining: {epohcs: 3}\n")
    with pytest.raises(InputError) as caught:
        read(config)
    first, second = str(caught.value).splitlines()
    assert first == f"{config}:2:12  balancing: {said}"
    assert "did you mean 'epochs'" in second


def test_a_name_that_two_packages_use_is_an_error_that_names_both(install):
    install("motet_equal", "[motet.balancers]\nequal = motet_equal:Worst\n")
    with pytest.raises(
        InputError, match="name 'equal' is used by two packages, motet and motet_eq"
    ):
        list(BALANCERS)


def test_packages_of_others_may_not_share_a_name_either(install):
    install("motet_one", "[motet.balancers]\nworst = motet_one:Worst\n")
    install("motet_two", "[motet.balancers]\nworst = motet_two:Worst\n")
    with pytest.raises(
        InputError, match=r"'worst' is used by two packages, motet_(one|two) and mot"
    ):
        read({"tasks": {"a": "regression"}, "balancing": "worst"})


def test_a_name_of_an_entry_point_is_taken_for_users(install):
    install("motet_worst", BOTH)
    with pytest.raises(InputError, match="'worst' is taken by the package motet_worst; choose"):
        motet.register("balancer", "worst", object)


def test_a_name_must_be_usable_in_a_config(install):
    install("motet_odd", "[motet.losses]\na-b = motet_odd:largest_error\n")
    with pytest.raises(InputError, match="motet_odd offers the loss name 'a-b'; expected letters"):
        list(KINDS["loss"])


def test_importing_motet_reads_no_entry_points():
    script = "import motet, motet.registry, motet.installed as i; motet.registry.SOURCES['files']"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; print(i._installed.cache_info().misses)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "0\n"
