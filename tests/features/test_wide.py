from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.stores.wide import Wide, aligned, lengthen, widen

DAY = date(2010, 1, 4)


@given(
    st.integers(1, 6).flatmap(
        lambda width: st.lists(
            st.lists(st.one_of(st.none(), st.floats(-1, 1)), min_size=width, max_size=width), min_size=1
        )
    )
)
def test_a_matrix_survives_the_way_to_long_rows_and_back(cells: list[list[float | None]]) -> None:
    matrix = np.array([[np.nan if cell is None else cell for cell in row] for row in cells])
    present = ~np.isnan(matrix)
    days = [DAY + timedelta(days=number) for number in range(len(matrix))]
    names = [f"T{number}" for number in range(matrix.shape[1])]
    back = widen(lengthen(days, names, {"x": matrix}, present), ["x"])
    kept_rows, kept_columns = present.any(axis=1), present.any(axis=0)
    assert back.days == tuple(day for day, keep in zip(days, kept_rows, strict=True) if keep)
    np.testing.assert_array_equal(back["x"], matrix[kept_rows][:, kept_columns])


def test_rows_in_any_order_land_in_their_place() -> None:
    frame = pl.DataFrame(
        {"date": [DAY, date(2010, 1, 5), DAY], "instrument_id": ["B", "A", "A"], "x": [1.0, None, 3.0]}
    )
    wide = widen(frame, ["x"])
    assert wide.instruments == ("A", "B")
    np.testing.assert_array_equal(wide["x"], [[3.0, 1.0], [np.nan, np.nan]])


def test_a_pair_that_occurs_twice_is_refused() -> None:
    frame = pl.DataFrame({"date": [DAY, DAY], "instrument_id": ["A", "A"], "x": [1.0, 2.0]})
    with pytest.raises(AssertionError, match="two rows"):
        widen(frame, ["x"])


def test_a_matrix_on_other_axes_keeps_what_they_share() -> None:
    wide = Wide((DAY, date(2010, 1, 5)), ("A", "C"), {"x": np.array([[1.0, 2.0], [3.0, 4.0]])})
    axes = Wide((date(2010, 1, 5), date(2010, 1, 6)), ("A", "B", "C"), {})
    found = aligned(wide, axes)
    assert (found.days, found.instruments) == (axes.days, axes.instruments)
    np.testing.assert_array_equal(found["x"], [[3.0, np.nan, 4.0], [np.nan, np.nan, np.nan]])
