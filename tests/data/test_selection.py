"""Caps, weights and row limits."""

from collections import Counter

import pytest

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.errors import InputError
from pipeline.settings.recipe import Recipe
from tests.data.folders import TWO, curated, fill, keys


def test_caps_and_weights_name_a_source_a_class_or_both(tmp_path):
    for name, start in (("one", 0), ("two", 50000)):
        fill(tmp_path / name, 30, 20, start=start)
    entries = [{"data_path": str(tmp_path / n)} for n in ("one", "two")]

    def train(**settings):
        recipe = Recipe(sources=entries, test_share=0.0, **TWO, **settings)
        table = curate(read_sources(recipe), recipe).splits["train"]
        return table, Counter(zip(table["source"], table.features["label"].int2str(table["label"][:]), strict=True))

    whole = {("one", "happiness"): 27, ("one", "sadness"): 18, ("two", "happiness"): 27, ("two", "sadness"): 18}
    assert train()[1] == whole
    assert train(caps={"two/sadness": 5})[1] == whole | {("two", "sadness"): 5}
    assert sum(train(caps={"one": 10})[1][("one", c)] for c in TWO["classes"]) == 10
    table, counts = train(caps={"happiness": 20})
    assert counts[("one", "happiness")] + counts[("two", "happiness")] == 20
    assert table["key"][:] == train(caps={"happiness": 20})[0]["key"][:], "seeded"
    table, _ = train(row_weights={"two": 3.0, "sadness": 0.5, "one/sadness": 0.0})
    weights = {(s, n): w for s, n, w in zip(table["source"], table["label"], table["weight"], strict=True)}
    assert weights == {("one", 0): 1.0, ("one", 1): 0.0, ("two", 0): 3.0, ("two", 1): 1.5}
    for setting in ("caps", "row_weights"):
        with pytest.raises(InputError, match=rf"{setting}: three is neither a source \(one, two\) nor a class \("):
            train(**{setting: {"three": 1}})
        with pytest.raises(InputError, match=f"{setting} leaves no train row of sadness: set it above 0"):
            train(**{setting: {"sadness": 0}})
        with pytest.raises(InputError, match=f"{setting} leaves no train row of happiness, sadness"):
            train(**{setting: {"one": 0, "two": 0}})


def test_limits_take_a_seeded_subset_that_keeps_every_class_of_train(tmp_path):
    fill(tmp_path, 60, 2)
    result = curated(tmp_path, max_train_samples=3, max_eval_samples=2, test_share=0.0)
    assert {split: len(table) for split, table in result.splits.items()} == {"train": 3, "validation": 2}
    assert result.report["rows_used"]["train"]["sadness"] >= 1
    assert sum(result.report["rows"]["train"].values()) > 50, "counted before the limit"
    assert keys(curated(tmp_path, max_train_samples=3, max_eval_samples=2, test_share=0.0)) == keys(result)
    with pytest.raises(InputError, match="max_train_samples is 1, but train needs at least 2 rows"):
        curated(tmp_path, max_train_samples=1)
