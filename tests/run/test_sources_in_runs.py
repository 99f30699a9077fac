"""A config names where its rows come from: by a path, or by the name of a source."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import yaml

import motet
from motet.config import ConfigError, read
from motet.data.sources import Source, as_source, as_table
from motet.run.preparing import read_rows
from tests.data.test_arrow_files import saved

RNG = np.random.default_rng(0)
TABLE = pa.table({"age": RNG.normal(size=80), "spend": RNG.normal(size=80)})
CONFIG = """
data: {{sources: {sources}}}
tasks: {{spend: regression}}
training: {{epochs: 1, batch_size: 32}}
"""


@pytest.fixture
def file(tmp_path):
    for name, rows in (("a.csv", TABLE[:30]), ("b.csv", TABLE[30:])):
        pa.csv.write_csv(rows, tmp_path / name)
    pa.csv.write_csv(TABLE, tmp_path / "all.csv")

    def file(sources):
        path = tmp_path / "config.yaml"
        path.write_text(CONFIG.format(sources=sources))
        return path

    return file


def refused(config, **options):
    with pytest.raises(ConfigError) as caught:
        read_rows(config, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "sources",
    [
        "{main: {source: all.csv}}",
        "{main: {type: files, source: all.csv}}",
        '{main: {source: "[ab].csv"}}',
        "{main: {source: [a.csv, b.csv]}}",
    ],
)
def test_a_named_source_of_files_is_read_like_a_path_relative_to_the_config(file, sources):
    found = read_rows(file(sources))
    assert found.table.equals(read_rows(file("{main: {source: all.csv}}")).table)
    assert found.source.row_name(0).endswith(".csv)")


def test_the_run_folder_names_the_same_files_from_any_folder(file, tmp_path):
    run = motet.train(file('{main: {source: ["[ab].csv"]}}'), output=tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    (place,) = written["data"]["sources"]["main"]["source"]
    assert place == f"{tmp_path}/[ab].csv"
    assert read_rows(run.path / "config.yaml").table.num_rows == 80
    report = run.evaluate(TABLE, split="test")
    assert report["spend"]["count"] == 12


def test_one_source_does_not_choose_inputs(file):
    found = refused(file("{main: {source: all.csv, inputs: [age]}}"))
    assert "data: found sources.main.inputs, and no other source; name the inputs under" in found


def test_a_source_and_sources_are_not_given_together(file):
    found = refused(file("{a: {source: a.csv}}"), overrides=["data.source=b.csv"])
    assert "data: found source and sources; expected one of them" in found
    found = refused(file("{a: {source: a.csv}}"), data=TABLE)
    assert "data.sources: found data from Python and data.sources; remove one" in found


def test_mistakes_in_a_source_are_reported_at_their_key(file):
    assert "data.sources.a.sorce: unknown key; did you mean 'source'?" in refused(
        file("{a: {sorce: a.csv}}")
    )
    assert "data.sources.a.type: found 'sqlite', expected a source; known: files" in refused(
        file("{a: {type: sqlite}}")
    )
    assert "data.sources: there is no file" in refused(file("{a: {source: c.csv}}"))
    assert "data.sources: found a mapping, expected at least one entry" in refused(file("{}"))


def test_a_source_object_serves_wherever_rows_are_given(tmp_path):
    class Doubled(Source):
        def read(self, strings=()):
            return as_table({name: 2 * TABLE[name].to_numpy() for name in TABLE.column_names})

    config = {"tasks": {"spend": "regression"}, "training": {"epochs": 1, "batch_size": 32}}
    run = motet.train(config, data=Doubled(), output=tmp_path / "run")
    assert read_rows(config, data=Doubled()).source.title == "Doubled"
    doubled = Doubled()
    assert as_source(doubled) is doubled
    assert run.predict(doubled).equals(run.predict(doubled.read()))


def test_a_config_with_a_source_is_the_same_after_reading_its_own_dump(file):
    config, _ = read(file("{main: {source: all.csv}}"))
    again, _ = read(config.model_dump(mode="json"))
    assert again == config
    assert config.data.sources["main"].type == "files"


def test_a_source_that_is_split_already_must_be_used_as_it_is_split(tmp_path):
    for name, rows in (("train", TABLE[:60]), ("test", TABLE[60:])):
        saved(tmp_path / "shop" / name, [rows])
    (tmp_path / "shop" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    config = tmp_path / "config.yaml"
    chosen = "{data: {source: shop%s}, tasks: {spend: regression}, training: {epochs: 1}}"
    config.write_text(chosen % "")
    said = refused(config)
    assert "data.split.column: missing; shop is split already: expected 'split'" in said
    config.write_text(chosen % ", split: {column: split}")
    run = motet.train(config, output=tmp_path / "run")
    assert list(run.config.inputs) == ["age"]
    assert run.evaluate(tmp_path / "shop", split="test")["spend"]["count"] == 20
    assert len(run.predict(tmp_path / "shop" / "test")) == 20
