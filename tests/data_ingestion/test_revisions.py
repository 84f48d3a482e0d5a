"""What a vendor says otherwise, and what is known of a day: pure functions against the vendor's own latest word."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from prometheus.data_ingestion.revisions import changes, settled

DAY = date(2010, 1, 4)
KEY = ("instrument_id",)
SCHEMA = {"row_date": pl.Date, "instrument_id": pl.String, "x": pl.Float64}
Said = dict[tuple[int, str], float | None]
# What a vendor says anew on each of its nights: a value of a day and a name. What it has said it keeps.
NIGHTS = st.lists(
    st.dictionaries(
        st.tuples(st.integers(0, 6), st.sampled_from("ABC")),
        st.none() | st.sampled_from([0.5, 1.5, 2.5]),
        max_size=6,
    ),
    min_size=1,
    max_size=7,
)


def frame(said: Said, until: int) -> pl.DataFrame:
    rows = [
        (DAY + timedelta(days=day), name, value)
        for (day, name), value in sorted(said.items())
        if day <= until
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@given(NIGHTS)
def test_what_is_known_after_any_nights_is_what_the_vendor_said_last(nights: list[Said]) -> None:
    staged = pl.DataFrame(schema={"date": pl.Date, **SCHEMA})
    said: Said = {}
    for number, news in enumerate(nights):
        said |= news
        tonight = DAY + timedelta(days=number)
        held = settled(staged, KEY).select(list(SCHEMA))
        found = changes(held, frame(said, number), KEY)
        assert found.withdrawn == 0
        assert found.late + found.revised == found.rows.height
        staged = pl.concat([staged, found.rows.select(pl.lit(tonight).alias("date"), *SCHEMA)])
        known = settled(staged, KEY)
        assert known["date"].equals(known["row_date"].alias("date"))
        assert known.select(list(SCHEMA)).sort("row_date", "instrument_id").equals(frame(said, number))
        again = changes(known.select(list(SCHEMA)), frame(said, number), KEY)
        assert (again.late, again.revised, again.days) == (0, 0, ())


def test_a_row_that_claimed_a_later_day_is_no_version_of_the_one_that_came() -> None:
    rows = [
        (DAY, DAY + timedelta(days=1), "A", 9.0),
        (DAY + timedelta(days=1), DAY + timedelta(days=1), "A", 1.0),
    ]
    staged = pl.DataFrame(rows, schema={"date": pl.Date, **SCHEMA}, orient="row")
    late = pl.DataFrame(
        [(DAY + timedelta(days=2), DAY + timedelta(days=1), "A", 2.0)], schema=staged.schema, orient="row"
    )
    assert settled(pl.concat([staged, late]), KEY)["x"].to_list() == [9.0, 2.0]


def test_doubled_rows_of_a_version_stay_together_and_one_that_differs_makes_both_differ() -> None:
    doubled = pl.DataFrame([(DAY, "A", 1.0), (DAY, "A", 2.0), (DAY, "B", 3.0)], schema=SCHEMA, orient="row")
    mended = doubled.filter(pl.col("x") != 2.0)
    found = changes(doubled, mended, KEY)
    assert (found.revised, found.rows["instrument_id"].to_list()) == (1, ["A"])
    staged = doubled.select(pl.lit(DAY).alias("date"), *SCHEMA)
    assert settled(staged, KEY).equals(staged)


def test_rows_that_are_gone_are_counted_with_their_days() -> None:
    held = frame({(0, "A"): 1.0, (1, "A"): 1.0, (1, "B"): 1.0}, 9)
    found = changes(held, held.filter(pl.col("instrument_id") == "A"), KEY)
    assert (found.withdrawn, found.rows.height, found.days) == (1, 0, (DAY + timedelta(days=1),))
