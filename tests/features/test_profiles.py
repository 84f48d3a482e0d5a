"""Who gets a snapshot, what stands in it, that nothing was known before its day, and the vector beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prometheus.features import exposures, jobs, known_issuers, numeric_embeddings, profiles
from prometheus.stores.historical import HistoricalDb, HistoricalView, WriteId
from prometheus.stores.runtime import Row, RuntimeDb

DAYS = [date(2016, 6, day) for day in (20, 21, 22, 23, 24)]
NAMES = ("GOOG", "GOOGL", "MSFT", "SYN_A")

TaskFor = Callable[..., Any]


def rows(table: str, *given: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of a final table: what is not given is null, and not synthetic."""
    columns = {"date": pl.Date(), **known_issuers.COLUMNS[table]}
    if table == "texts":
        columns["body"] = pl.String()
    filled = [{"synthetic": False, "row_date": row["date"], **row} for row in given]
    return pl.DataFrame([{name: row.get(name) for name in columns} for row in filled], schema=columns)


def who(
    name: str, issuer: str, sector: str = "Technology", day: date = DAYS[0], **more: Any
) -> dict[str, Any]:
    named = {"issuer_id": issuer, "name": issuer.title(), "sector": sector, "industry": "Software"}
    return {"date": day, "instrument_id": name, **named, **more}


def fact(day: date, concept: str, end: date, value: float, **more: Any) -> dict[str, Any]:
    told = {"instrument_id": "MSFT", "concept": concept, "unit": "USD", "period_end": end, "form": "10-Q"}
    return {"date": day, "value": value, "accession": f"{day}-{concept}", **told, **more}


def text(day: date, name: str, instrument: str | None = "MSFT", **more: Any) -> dict[str, Any]:
    told = {"text_id": name, "instrument_id": instrument, "kind": "news", "title": f"About {name}"}
    return {"date": day, "body": "Crude prices fell.", **told, **more}


PRICES = rows(
    "prices_daily",
    *({"date": day, "instrument_id": name, "synthetic": name == "SYN_A"} for day in DAYS for name in NAMES),
)
ISSUERS = rows("issuers", who("GOOG", "ALPHABET"), who("GOOGL", "ALPHABET"), who("MSFT", "MICROSOFT"))


class Home:
    """The stores of a folder, filled by hand."""

    def __init__(self, folder: Path, **tables: pl.DataFrame) -> None:
        self.folder = folder
        self.store = HistoricalDb(folder / "historical")
        for table, frame in tables.items():
            self.load(table, frame)

    def load(self, table: str, frame: pl.DataFrame, run: str = "load") -> None:
        write = WriteId(run, "validate_context", table, 1, "0" * 64)
        self.store.write_days(table, frame, write, market="US_EQ")

    def view(self, day: date) -> HistoricalView:
        return self.store.as_of(day, market="US_EQ")

    def night(self, task: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PROMETHEUS_HOME", str(self.folder))
            return jobs.profiles(task)

    def snapshots(self, day: date) -> dict[str, Row]:
        runtime = RuntimeDb(f"sqlite:///{self.folder / 'runtime.db'}")
        return {row["issuer_id"]: row for row in runtime.rows("profile_snapshots", as_of_date=day)}


def test_the_first_night_makes_a_snapshot_of_everybody_and_a_quiet_one_of_nobody(
    tmp_path: Path, task_for: TaskFor
) -> None:
    home = Home(tmp_path, prices_daily=PRICES, issuers=ISSUERS)
    assert home.night(task_for(DAYS[0], "profiles")) == {"issuers": 3, "synthetic": 1, "write": "created"}
    found = home.snapshots(DAYS[0])
    assert list(found) == ["ALPHABET", "MICROSOFT", "SYN_A"]
    assert found["SYN_A"]["reasons"] == [known_issuers.FIRST]
    assert {name: row["synthetic"] for name, row in found.items()} == {
        "ALPHABET": False,
        "MICROSOFT": False,
        "SYN_A": True,
    }
    shares = found["ALPHABET"]["profile"]["market"]
    assert [row["instrument_id"] for row in shares] == ["GOOG", "GOOGL"]
    assert home.night(task_for(DAYS[1], "profiles"))["issuers"] == 0
    assert home.snapshots(DAYS[1]) == {}


def test_what_is_new_of_an_issuer_is_told_and_nights_left_out_are_made_up_for(
    tmp_path: Path, task_for: TaskFor
) -> None:
    home = Home(tmp_path, prices_daily=PRICES, issuers=ISSUERS)
    home.load("texts", rows("texts", text(DAYS[0], "t0"), text(DAYS[2], "t1"), text(DAYS[3], "t2", None)))
    home.load("facts", rows("facts", fact(DAYS[3], "Assets", date(2016, 3, 31), 5.0)))
    split = {"date": DAYS[1], "instrument_id": "GOOGL", "action": "spin_off"}
    home.load("corporate_actions", rows("corporate_actions", split))
    home.load("issuers", rows("issuers", who("SYN_A", "SYN_A", day=DAYS[2], synthetic=True)), "named")
    home.load("issuers", rows("issuers", who("MSFT", "MICROSOFT", "Media", DAYS[3])), "moved")
    home.night(task_for(DAYS[0], "profiles"))
    home.night(task_for(DAYS[3], "profiles"))  # two nights were skipped
    told = {name: row["reasons"] for name, row in home.snapshots(DAYS[3]).items()}
    assert told == {
        "ALPHABET": ["spin off on 2016-06-21"],
        "MICROSOFT": ["classification changed", "10-Q filed on 2016-06-23", "news t1"],
    }
    assert home.snapshots(DAYS[3])["MICROSOFT"]["profile"]["sector"] == "Media"
    assert home.snapshots(DAYS[0])["MICROSOFT"]["profile"]["sector"] == "Technology"


def test_a_snapshot_holds_the_newest_facts_and_texts_and_says_when_they_were_filed(
    tmp_path: Path, task_for: TaskFor
) -> None:
    quarter, year = date(2016, 3, 31), date(2015, 12, 31)
    facts = rows(
        "facts",
        fact(DAYS[0], "Revenues", quarter, 90.0, period_start=date(2015, 7, 1)),
        fact(DAYS[0], "Revenues", quarter, 20.0, period_start=date(2016, 1, 1), accession="q"),
        fact(DAYS[1], "Revenues", quarter, 21.0, period_start=date(2016, 1, 1), form="10-Q/A"),  # put right
        fact(
            DAYS[1], "Revenues", year, 85.0, period_start=date(2015, 1, 1)
        ),  # filed late, of an older period
        fact(DAYS[1], "Revenues", quarter, 7.0, unit="EUR"),
        fact(DAYS[1], "Assets", quarter, 1 / 3, synthetic=True),
    )
    texts = rows("texts", *(text(DAYS[n // 3], f"t{n}") for n in range(8)))
    home = Home(tmp_path, prices_daily=PRICES, issuers=ISSUERS, facts=facts, texts=texts)
    home.night(task_for(DAYS[2], "profiles"))
    row = home.snapshots(DAYS[2])["MICROSOFT"]
    told = [
        (found["concept"], found["unit"], found["value"], found["filed"]) for found in row["profile"]["facts"]
    ]
    assert told == [
        ("Assets", "USD", 0.333333333, "2016-06-21"),
        ("Revenues", "EUR", 7.0, "2016-06-21"),
        ("Revenues", "USD", 21.0, "2016-06-21"),
    ]
    assert row["synthetic"] is True  # one fact is
    assert [found["text_id"] for found in row["profile"]["texts"]] == ["t6", "t7", "t3", "t4", "t5"]
    assert row["profile"]["texts"][0] == {
        "text_id": "t6",
        "kind": "news",
        "title": "About t6",
        "date": "2016-06-22",
    }


filings = st.lists(
    st.tuples(
        st.sampled_from(DAYS), st.sampled_from(["Assets", "Revenues"]), st.integers(0, 3), st.integers(1, 9)
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[:3],
)


@settings(max_examples=settings().max_examples // 4)
@given(filings, st.sampled_from(DAYS))
def test_nothing_filed_after_the_session_is_ever_seen(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[date, str, int, int]], session: date
) -> None:
    facts = rows(
        "facts",
        *(fact(day, concept, date(2016, 1 + end, 28), float(value)) for day, concept, end, value in drawn),
    )
    whole = Home(tmp_path_factory.mktemp("whole"), prices_daily=PRICES, issuers=ISSUERS, facts=facts)
    until = pl.col("date") <= session
    cut = Home(
        tmp_path_factory.mktemp("cut"),
        prices_daily=PRICES.filter(until),
        issuers=ISSUERS,
        facts=facts.filter(until),
    )
    found = [
        profiles.snapshots(view, known, known_issuers.news(view, known, None, ()))
        for view in (whole.view(session), cut.view(session))
        for known in (known_issuers.instruments(view),)
    ]
    assert found[0] == found[1]
    seen = {row["concept"]: row for row in found[0][1]["profile"]["facts"]}
    for concept in ("Assets", "Revenues"):
        filed = [row for row in drawn if row[1] == concept and row[0] <= session]
        if filed:
            assert seen[concept]["period_end"] == date(2016, 1 + max(row[2] for row in filed), 28).isoformat()
            assert seen[concept]["filed"] <= session.isoformat()
        else:
            assert concept not in seen


def features(day: date) -> dict[str, pl.DataFrame]:
    """What the numeric features say of three instruments on a day."""
    count = len(NAMES) - 1
    base = {"date": [day] * count, "instrument_id": list(NAMES[:count])}
    styles = {name: [1.0 + place, 2.0, 3.0] for place, name in enumerate(exposures.STYLES)}
    window = {name: np.float32([place, 1.0, 2.0]) for place, name in enumerate(numeric_embeddings.NAMES)}
    return {
        "volatility_daily": pl.DataFrame({**base, "vol_63d": [0.2, 0.3, 0.25]}),
        exposures.TABLE: pl.DataFrame({**base, **styles}),
        numeric_embeddings.TABLE: pl.DataFrame({**base, **window}),
    }


def test_the_market_s_figures_stand_beside_each_instrument_of_the_issuer(
    tmp_path: Path, task_for: TaskFor
) -> None:
    home = Home(tmp_path, prices_daily=PRICES, issuers=ISSUERS, **features(DAYS[1]))
    home.night(task_for(DAYS[1], "profiles"))
    market = home.snapshots(DAYS[1])["ALPHABET"]["profile"]["market"]
    assert [(row["instrument_id"], row["volatility_63d"], row["beta"]) for row in market] == [
        ("GOOG", 0.2, 1.0),
        ("GOOGL", 0.3, 2.0),
    ]
    unknown = home.snapshots(DAYS[1])["SYN_A"]["profile"]["market"][0]
    assert unknown == {"instrument_id": "SYN_A", "volatility_63d": None, **dict.fromkeys(exposures.STYLES)}


def test_a_vector_puts_texts_course_and_figures_side_by_side(
    tmp_path: Path, task_for: TaskFor, monkeypatch: Any
) -> None:
    texts = rows("texts", text(DAYS[0], "a"), text(DAYS[1], "b", body="The merger was approved."))
    home = Home(tmp_path, prices_daily=PRICES, issuers=ISSUERS, texts=texts, **features(DAYS[1]))
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path))
    jobs.text_embeddings(task_for(DAYS[1], "text_embeddings"))
    home.night(task_for(DAYS[1], "profiles"))
    kept = home.view(DAYS[1]).read(profiles.TABLE)
    found = dict(zip(kept["issuer_id"], kept["vector"].to_list(), strict=True))
    assert {len(vector) for vector in found.values()} == {256 + 16 + 6}
    encoded = np.array(home.view(DAYS[1]).read("text_embeddings")["vector"].to_list()).sum(axis=0)
    window, styles = np.full(16, 2.0), np.array([3.0 - 1.0, 3.0, 3.0, 3.0, 3.0, 3.0])
    parts = [part / np.linalg.norm(part) for part in (encoded, window, styles)]
    np.testing.assert_allclose(found["MICROSOFT"], np.concatenate(parts) / np.sqrt(3), atol=1e-6)
    assert not np.any(found["ALPHABET"][:256])
    assert np.linalg.norm(found["ALPHABET"]) == pytest.approx(1.0, rel=1e-6)
    shared = np.add(np.arange(16.0), 1.0)  # of its two instruments
    np.testing.assert_allclose(
        found["ALPHABET"][256:272], shared / np.linalg.norm(shared) / np.sqrt(2), rtol=1e-5
    )
    assert not np.any(found["SYN_A"])


def test_the_same_session_again_gives_the_same_rows_and_a_later_night_changes_nothing_of_it(
    tmp_path: Path, task_for: TaskFor
) -> None:
    texts = rows("texts", text(DAYS[1], "a"), text(DAYS[2], "b"))
    home = Home(tmp_path, prices_daily=PRICES, issuers=ISSUERS, texts=texts, **features(DAYS[1]))
    for day in DAYS[:3]:
        home.night(task_for(day, "profiles"))
    before = home.snapshots(DAYS[1]), home.view(DAYS[1]).read(profiles.TABLE)
    home.night(task_for(DAYS[1], "profiles", 2))
    assert home.snapshots(DAYS[1]) == before[0]
    assert list(before[0]) == ["MICROSOFT"]
    assert home.view(DAYS[1]).read(profiles.TABLE).equals(before[1])


def test_what_was_made_of_a_made_up_text_says_so_even_when_newer_ones_are_real(
    tmp_path: Path, task_for: TaskFor, monkeypatch: Any
) -> None:
    old = text(DAYS[0], "SYN_1", synthetic=True)
    texts = rows("texts", old, *(text(DAYS[1], f"t{n}") for n in range(6)), text(DAYS[1], "g", "GOOG"))
    home = Home(tmp_path, prices_daily=PRICES, issuers=ISSUERS, texts=texts)
    monkeypatch.setenv("PROMETHEUS_HOME", str(tmp_path))
    jobs.text_embeddings(task_for(DAYS[1], "text_embeddings"))
    home.night(task_for(DAYS[1], "profiles"))
    flags = {name: row["synthetic"] for name, row in home.snapshots(DAYS[1]).items()}
    assert flags == {"ALPHABET": False, "MICROSOFT": True, "SYN_A": True}
    kept = home.view(DAYS[1]).read(profiles.TABLE)
    assert dict(kept.select("issuer_id", "synthetic").iter_rows()) == flags


def test_a_desk_that_knows_prices_alone_has_profiles_of_its_instruments(
    tmp_path: Path, task_for: TaskFor
) -> None:
    home = Home(tmp_path, prices_daily=PRICES)
    assert home.night(task_for(DAYS[0], "profiles"))["issuers"] == 4
    row = home.snapshots(DAYS[0])["GOOG"]
    assert (row["profile"]["name"], row["profile"]["facts"], row["profile"]["texts"]) == (None, [], [])
    assert home.night(task_for(DAYS[0] + timedelta(days=1), "profiles"))["issuers"] == 0
