"""A user's own files: their layouts, what was known when, and errors that name file, line, column and what was found."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.errors import DataError, SettingsError
from prometheus.core.settings import SourceSettings, load_settings
from prometheus.data_ingestion.choose import told_of
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.folder import FolderSource
from prometheus.data_ingestion.own_rows import KNOWN_ON, MAY_BE_ABSENT, returns_of

D1, D2, D3 = date(2016, 6, 22), date(2016, 6, 23), date(2016, 6, 24)
HEADER = "row_date,instrument_id,ret_1d,abs_log_open_close\n"
GOOD = f"{HEADER}2016-06-23,AAA,0.01,0.002\n2016-06-24,AAA,-0.02,0.01\n"


def source(path: Path, dataset: str = "prices", **told: Any) -> FolderSource:
    return FolderSource(SourceSettings(kind="folder", path=path, **told), "US_EQ", dataset)


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def values(of: FolderSource, known_at: date, column: str = "ret_1d") -> dict[tuple[date, str], Any]:
    (dataset,) = of.datasets
    rows = of.read(dataset, known_at, of.sessions(dataset, known_at))
    return {
        (day, name): value
        for day, name, value in rows.select("row_date", "instrument_id", column).iter_rows()
    }


def test_one_file_with_the_dataset_s_own_names_needs_no_more(tmp_path: Path) -> None:
    own = source(written(tmp_path, {"prices.csv": GOOD}) / "prices.csv")
    assert own.sessions("prices", D3) == [D2, D3]
    assert values(own, D3) == {(D2, "AAA"): 0.01, (D3, "AAA"): -0.02}
    assert own.read("prices", D3, [D3]).schema == dict(DATASETS["prices"].columns)
    assert (own.name, own.synthetic, own.closed) == ("folder:US_EQ", False, False)


def test_rows_of_later_days_are_not_known_yet(tmp_path: Path) -> None:
    own = source(written(tmp_path, {"prices.csv": GOOD}) / "prices.csv")
    assert own.sessions("prices", D2) == [D2]
    assert own.read("prices", D2, [D2, D3])["row_date"].to_list() == [D2]


def test_columns_dates_and_numbers_as_a_vendor_writes_them(tmp_path: Path) -> None:
    text = "Ticker;Datum;Rendite;Spanne;Note\nAAA;24.06.2016;-0,02; 0,01 ;x\n"
    own = source(
        written(tmp_path, {"p.csv": text}) / "p.csv",
        columns={
            "row_date": "Datum",
            "instrument_id": "Ticker",
            "ret_1d": "Rendite",
            "abs_log_open_close": "Spanne",
        },
        date_format="%d.%m.%Y",
        separator=";",
        decimal=",",
        name="vendor",
    )
    assert own.name == "vendor"
    assert values(own, D3) == {(D3, "AAA"): -0.02}


def test_parquet_brings_its_own_types(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "day": [20160624],
            "instrument_id": [7],
            "ret_1d": pl.Series([1], dtype=pl.Int8),
            "abs_log_open_close": [0.5],
        }
    )
    frame.write_parquet(tmp_path / "prices.parquet")
    own = source(tmp_path / "prices.parquet", columns={"row_date": "day"}, date_format="%Y%m%d")
    assert values(own, D3) == {(D3, "7"): 1.0}


def test_a_file_a_day_names_its_day_and_a_file_a_name_its_instrument(tmp_path: Path) -> None:
    days = written(
        tmp_path / "days",
        {f"{day}.csv": "instrument_id,dollar_volume\nAAA,5\n" for day in (D1, D2)} | {"notes.txt": "hello"},
    )
    assert values(source(days, "volumes"), D3, "dollar_volume") == {(D1, "AAA"): 5.0, (D2, "AAA"): 5.0}
    names = written(
        tmp_path / "names", {f"{name}.csv": f"row_date,dollar_volume\n{D1},3\n" for name in ("BB", "CC")}
    )
    by_name = source(names, "volumes", values={"instrument_id": "{name}"})
    assert values(by_name, D3, "dollar_volume") == {(D1, "BB"): 3.0, (D1, "CC"): 3.0}


def test_one_value_may_stand_for_a_column_and_some_columns_may_be_absent(tmp_path: Path) -> None:
    path = written(tmp_path, {"spx.csv": f"row_date,close\n{D2},2113.3\n"}) / "spx.csv"
    own = source(path, "indices", values={"instrument_id": "SPX"})
    assert own.read("indices", D3, [D2]).row(0) == (D2, "SPX", None, None, None, 2113.3, None)


def test_a_row_of_an_earlier_day_in_a_later_day_s_file_is_known_from_then_on(tmp_path: Path) -> None:
    files = {
        f"{D1}.csv": f"{HEADER}{D1},AAA,0.01,0\n{D1},BBB,0.03,0\n",
        f"{D2}.csv": f"{HEADER}{D2},AAA,0.02,0\n{D1},AAA,0.09,0\n{D1},CCC,0.04,0\n",
    }
    own = source(written(tmp_path, files))
    assert values(own, D1) == {(D1, "AAA"): 0.01, (D1, "BBB"): 0.03}
    assert values(own, D2) == {(D1, "AAA"): 0.09, (D1, "BBB"): 0.03, (D1, "CCC"): 0.04, (D2, "AAA"): 0.02}


def test_a_row_that_claims_tomorrow_is_handed_over_on_the_day_it_came(tmp_path: Path) -> None:
    own = source(written(tmp_path, {f"{D2}.csv": f"{HEADER}{D2},AAA,0.02,0\n{D3},AAA,0.01,0\n"}))
    assert own.read("prices", D2, [D2])["row_date"].to_list() == [D2, D3]


def test_a_column_may_say_from_when_on_a_row_was_known(tmp_path: Path) -> None:
    text = f"row_date,instrument_id,rate,published\n{D1},EURUSD,1.1,\n{D1},EURUSD,1.2,{D2}\n{D3},EURUSD,1.3,{D3}\n"
    own = source(written(tmp_path, {"fx.csv": text}) / "fx.csv", "fx", known_on="published")
    assert values(own, D1, "rate") == {(D1, "EURUSD"): 1.1}
    assert values(own, D2, "rate") == {(D1, "EURUSD"): 1.2}


def test_a_macro_value_that_is_revised_is_a_row_of_its_own_from_the_day_of_its_revision(
    tmp_path: Path,
) -> None:
    text = f"row_date,series_id,period,value,vintage\n{D1},CPI,2016-05-01,1.0,{D1}\n{D1},CPI,2016-05-01,1.1,{D3}\n"
    own = source(written(tmp_path, {"cpi.csv": text}) / "cpi.csv", "macro", known_on="vintage")
    assert own.sessions("macro", D2) == [D1]
    rows = own.read("macro", D3, own.sessions("macro", D3))
    assert rows.select("row_date", "value").rows() == [(D1, 1.0), (D3, 1.1)]


def test_adjusted_closes_become_returns_from_close_to_close(tmp_path: Path) -> None:
    text = (
        "row_date,instrument_id,open,close\n"
        f"{D1},AAA,99,100\n{D2},AAA,101,110\n{D3},AAA,110,99\n{D1},BBB,10,10\n{D3},BBB,10,12\n"
    )
    own = source(written(tmp_path, {"p.csv": text}) / "p.csv")
    assert values(own, D3) == {(D2, "AAA"): 0.1, (D3, "AAA"): -0.1, (D3, "BBB"): None}
    assert values(own, D2, "abs_log_open_close")[(D2, "AAA")] == pytest.approx(0.0853, abs=1e-4)
    assert values(own, D2) == {(D2, "AAA"): 0.1}


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=9), st.sampled_from([2.0, 3.0, 0.1, 7.0]))
def test_a_history_adjusted_anew_for_a_split_gives_the_same_returns(closes: list[int], ratio: float) -> None:
    def rows(factor: float) -> pl.DataFrame:
        days = [date(2016, 1, day) for day in range(1, len(closes) + 1)]
        prices = [close * factor for close in closes]
        return pl.DataFrame(
            {"row_date": days, "instrument_id": "A", "open": prices, "close": prices, KNOWN_ON: days}
        )

    assert returns_of(rows(1.0))["ret_1d"].equals(returns_of(rows(1 / ratio))["ret_1d"])


FAULTS = {
    "a column that is absent": (
        "day,instrument_id,ret_1d,abs_log_open_close\n2016-06-24,A,0,0\n",
        r"p\.csv has no column 'row_date'; it has day, instrument_id.*row_date \(a day\).*columns = ",
    ),
    "a number that is none": (
        f"{HEADER}2016-06-23,A,0,0\n2016-06-24,A,n/a,0\n2016-06-24,B,-,0\n",
        r"p\.csv line 3: 'ret_1d' is 'n/a', ret_1d is a number \(2 such lines\)",
    ),
    "a day that is none": (
        f"{HEADER}24/06/2016,A,0,0\n",
        r"line 2: 'row_date' is '24/06/2016', row_date is a day written as %Y-%m-%d",
    ),
    "several at once": (f"{HEADER}x,A,y,0\n", r"'row_date' is 'x'.*; .*'ret_1d' is 'y'"),
    "closes without opens": (
        "row_date,instrument_id,close\n2016-06-24,A,5\n",
        r"no column 'open'.*or ret_1d and abs_log_open_close in place",
    ),
    "a file that is cut": (f'{HEADER}2016-06-24,A,0,0\n2016-06-24,A"x,0\n', r"p\.csv"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_file_is_told_with_its_place(tmp_path: Path, fault: str) -> None:
    text, message = FAULTS[fault]
    own = source(written(tmp_path, {"p.csv": text}) / "p.csv")
    with pytest.raises(DataError, match=message):
        own.sessions("prices", D3)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no file.*csv"),
        ({"a.xlsx": ""}, r"1 files of other kinds, such as a\.xlsx"),
        (
            {"a.csv": GOOD, "b.csv": "row_date,x\n"},
            r"b\.csv has another layout than a\.csv.*instrument_id.*x",
        ),
        ({"2016-06-24.csv": GOOD, "rest.csv": GOOD}, r"named by days and others, such as rest\.csv"),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(tmp_path: Path, files: dict[str, str], message: str) -> None:
    (tmp_path / "p").mkdir()
    with pytest.raises(DataError, match=message):
        source(written(tmp_path / "p", files)).sessions("prices", D3)


def test_nothing_at_the_path_and_a_broken_parquet_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent, where there is nothing"):
        source(tmp_path / "absent").sessions("prices", D3)
    written(tmp_path, {"p.parquet": "PAR1 not really"})
    with pytest.raises(DataError, match=r"p\.parquet cannot be read"):
        source(tmp_path / "p.parquet").sessions("prices", D3)


def test_a_type_that_can_never_fit_is_named(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"row_date": [D1], "instrument_id": ["A"], "ret_1d": [[1.0]], "abs_log_open_close": [D1]}
    )
    frame.write_parquet(tmp_path / "p.parquet")
    with pytest.raises(
        DataError, match=r"'ret_1d' of .*List.*; column 'abs_log_open_close' of .*Date.*a number"
    ):
        source(tmp_path / "p.parquet").sessions("prices", D3)


def test_the_settings_on_the_page_are_accepted(project: Path, tmp_path: Path) -> None:
    page = (project / "docs" / "sources.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / "prometheus.toml").write_text(block)
        settings = load_settings(tmp_path, environ={})
        for dataset in DATASETS:
            told = told_of(settings, "US_EQ", dataset)
            assert told is None or told.kind in ("folder", "sql")
    (tmp_path / "prometheus.toml").write_text(blocks[0])
    everything = load_settings(tmp_path, environ={}).sources["US_EQ"]
    assert everything.default is not None
    assert everything.default.path == tmp_path / "data"
    assert everything.datasets["prices"].path == tmp_path / "vendor" / "eod"


def test_the_page_names_every_dataset_and_what_may_be_absent(project: Path) -> None:
    page = (project / "docs" / "sources.md").read_text()
    lines = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .*\|$", page, re.M))
    for dataset in DATASETS.values():
        told = {
            name: star for name, star in re.findall(r"`(\w+)`(\\\*)?", lines[dataset.name]) if name.islower()
        }
        columns = {"row_date", *(name for name in told if name in dataset.columns)}
        assert columns == set(dataset.columns), dataset.name
        assert {name for name, star in told.items() if star} == MAY_BE_ABSENT.get(dataset.name, frozenset())


def test_a_setting_of_a_source_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prometheus.toml").write_text('[sources.US_EQ.prices]\nkind = "floder"\n')
    with pytest.raises(SettingsError, match=r"sources\.US_EQ\.prices\.kind .*'floder'.*'folder'"):
        load_settings(tmp_path, environ={})
    (tmp_path / "prometheus.toml").write_text('[sources.US_EQ.prices]\nkind = "folder"\npaht = "x"\n')
    with pytest.raises(SettingsError, match="paht"):
        load_settings(tmp_path, environ={})
    (tmp_path / "prometheus.toml").write_text(
        '[sources.US_EQ]\nkind = "folder"\npath = "x"\ncolumns = { kind = "Type" }\n'
    )
    sources = load_settings(tmp_path, environ={}).sources["US_EQ"]
    assert (sources.default and sources.default.columns) == {"kind": "Type"}
