"""Texts about one thing are near, nothing asks the network, and only what has no vector yet is encoded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prometheus.core.errors import DataError
from prometheus.features import jobs
from prometheus.features import text_embeddings as embedding
from prometheus.features.text_encoder import CHUNK_WORDS, TextEncoder, choose_encoder, wordllama
from prometheus.stores.historical import HistoricalDb, WriteId

OIL = (
    "Crude prices fell after the cartel raised its output quota for the second half of the year.",
    "Saudi Arabia will pump more barrels a day, and oil futures in London dropped by three dollars.",
    "Refiners cut petroleum imports as inventories of crude oil at the Gulf terminals filled up.",
)
DEALS = (
    "The company agreed to buy its smaller rival for 24 dollars a share in cash, its board said.",
    "Shareholders approved the merger, and the acquisition is expected to close by the end of June.",
    "A bidder raised its tender offer for the outstanding stock of the takeover target.",
)
CATS = (
    "The kitten slept on the sofa and purred.",
    "Our old cat will not eat anything but fish.",
)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return wordllama()


def test_texts_of_one_topic_are_nearer_to_each_other_than_to_any_of_another(encoder: TextEncoder) -> None:
    vectors = embedding.encode([*OIL, *DEALS, *CATS], encoder)
    topics = np.repeat([0, 1, 2], [3, 3, 2])
    near = vectors @ vectors.T
    np.fill_diagonal(near, -1.0)
    assert (topics[near.argmax(axis=1)] == topics).all()
    within = near[(topics[:, None] == topics) & (near > -1.0)]
    assert within.mean() > near[topics[:, None] != topics].mean() + 0.2


def test_a_text_has_the_same_vector_alone_and_among_others_and_it_has_length_one(
    encoder: TextEncoder,
) -> None:
    long = " ".join(OIL * 40)
    together = embedding.encode([OIL[0], long, DEALS[0]], encoder)
    assert together.shape == (3, encoder.dimension)
    assert together.dtype == np.float32
    for place, text in enumerate((OIL[0], long, DEALS[0])):
        np.testing.assert_array_equal(together[place], wordllama().encode(text))
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, rtol=1e-6)


def test_a_long_text_is_the_mean_of_its_pieces(encoder: TextEncoder) -> None:
    first, second = " ".join(["oil"] * CHUNK_WORDS), " ".join(["merger"] * 10)
    mean = encoder.encode(first) + encoder.encode(second)
    np.testing.assert_allclose(encoder.encode(f"{first} {second}"), mean / np.linalg.norm(mean), rtol=1e-5)


def test_a_text_without_words_is_near_to_nothing(encoder: TextEncoder) -> None:
    assert not encoder.encode(" \n ").any()
    frame = pl.DataFrame(
        {
            "date": [date(2016, 6, 24)],
            "text_id": ["t"],
            "instrument_id": [None],
            "title": [None],
            "body": [None],
            "synthetic": [True],
        },
        schema_overrides={"instrument_id": pl.String, "title": pl.String, "body": pl.String},
    )
    found = embedding.compute(frame, encoder)
    assert set(found["vector"][0]) == {0.0}
    assert found["synthetic"].to_list() == [True]  # what was made of a made-up text says so


def test_nothing_asks_the_network_and_logging_stays_as_it_was(tmp_path: Path) -> None:
    # In a process of its own, where the package was never imported: with every socket refused and no cache to look in.
    code = """
import logging, socket
def refused(*_arguments, **_options):
    raise AssertionError("something asked the network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refused
from prometheus.features.text_encoder import wordllama
vector = wordllama().encode("Crude prices fell.")
assert vector.any() and vector.shape == (256,)
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
print("done")
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_cannot_be_had_is_named() -> None:
    for wrong, told in (
        ("nothing", "parameter encoder of the text_embeddings job is 'nothing'"),
        ("no.such.module:x", "the text encoder 'no.such.module:x' cannot be made: ModuleNotFoundError"),
        ("builtins:dict", "'builtins:dict' made dict, which is no TextEncoder"),
    ):
        with pytest.raises(DataError, match=told):
            choose_encoder({"encoder": wrong})


# The job.

DAYS = [date(2016, 6, 20), date(2016, 6, 22), date(2016, 6, 24)]


def texts(*rows: tuple[date, str, str | None, str]) -> pl.DataFrame:
    days, names, instruments, bodies = zip(*rows, strict=True)
    return pl.DataFrame(
        {
            "date": days,
            "text_id": names,
            "instrument_id": pl.Series(instruments, dtype=pl.String),
            "kind": ["news"] * len(rows),
            "title": ["Title"] * len(rows),
            "body": bodies,
            "row_date": days,
            "source": ["test"] * len(rows),
            "synthetic": [False] * len(rows),
        }
    )


ALL = texts(
    (DAYS[0], "a", "XOM", OIL[0]),
    (DAYS[0], "b", None, OIL[1]),
    (DAYS[1], "c", "MSFT", DEALS[0]),
    (DAYS[2], "d", "AAPL", DEALS[1]),
)


def home_of(folder: Path, frame: pl.DataFrame, monkeypatch: Any) -> HistoricalDb:
    monkeypatch.setenv("PROMETHEUS_HOME", str(folder / ".prometheus"))
    store = HistoricalDb(folder / ".prometheus" / "historical")
    load(store, frame, "load")
    return store


def load(store: HistoricalDb, frame: pl.DataFrame, run: str, days: list[date] | None = None) -> None:
    write = WriteId(run, "validate_context", "texts", 1, "0" * 64)
    store.write_days("texts", frame, write, market="US_EQ", days=days)


def kept(store: HistoricalDb, day: date = DAYS[-1]) -> pl.DataFrame:
    return store.as_of(day, market="US_EQ").read(embedding.TABLE)


def test_each_night_encodes_its_own_texts_and_the_result_is_that_of_a_bulk_load(
    task_for: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    nightly = home_of(tmp_path / "nightly", ALL, monkeypatch)
    told = [jobs.text_embeddings(task_for(day, "text_embeddings"))["texts"] for day in DAYS]
    assert told == [2, 1, 1]
    bulk = home_of(tmp_path / "bulk", ALL, monkeypatch)
    assert jobs.text_embeddings(task_for(DAYS[-1], "text_embeddings")) == {
        "texts": 4,
        "sessions": 3,
        "encoder": wordllama().name,
        "write": "created",
    }
    assert_frame_equal(kept(nightly), kept(bulk), check_exact=True, check_row_order=False)
    assert kept(bulk).schema == {
        "date": pl.Date,
        "text_id": pl.String,
        "instrument_id": pl.String,
        "encoder": pl.String,
        "vector": pl.List(pl.Float32),
        "synthetic": pl.Boolean,
    }
    assert kept(bulk, DAYS[1])["text_id"].sort().to_list() == ["a", "b", "c"]


def test_a_night_without_texts_and_a_desk_without_a_table_of_texts_are_fine(
    task_for: Callable[..., Any], own_home: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    nothing = jobs.text_embeddings(task_for(DAYS[0], "text_embeddings"))
    assert (nothing["texts"], nothing["write"]) == (0, "nothing")
    store = home_of(tmp_path / "texts", ALL, monkeypatch)
    jobs.text_embeddings(task_for(DAYS[0], "text_embeddings"))
    quiet = jobs.text_embeddings(task_for(date(2016, 6, 21), "text_embeddings"))
    assert (quiet["texts"], quiet["write"]) == (0, "nothing")
    assert kept(store).height == 2


def test_a_changed_text_a_withdrawn_one_and_another_encoder_reach_the_vectors(
    task_for: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    store = home_of(tmp_path, ALL, monkeypatch)
    jobs.text_embeddings(task_for(DAYS[-1], "text_embeddings"))
    before = kept(store)
    load(store, texts((DAYS[0], "a", "XOM", DEALS[2]), (DAYS[0], "b", None, OIL[1])), "correction")
    load(store, ALL.clear(), "withdrawal", [DAYS[1]])
    told = jobs.text_embeddings(task_for(DAYS[-1], "text_embeddings", 2))
    assert told["sessions"] == 2  # the corrected one and the night's own
    after = kept(store)
    assert after["text_id"].sort().to_list() == ["a", "b", "d"]
    same = pl.col("text_id").is_in(["b", "d"])
    assert_frame_equal(after.filter(same), before.filter(same), check_exact=True, check_row_order=False)
    assert after.row(by_predicate=pl.col("text_id") == "a") != before.row(
        by_predicate=pl.col("text_id") == "a"
    )
    task = task_for(DAYS[-1], "text_embeddings", 3, params={"encoder": "initial_encoder:Initial"})
    jobs.text_embeddings(task)
    assert set(kept(store)["encoder"]) == {"initial-1"}
    assert kept(store)["vector"].list.len().unique().to_list() == [2]
