"""The earliest stretch beside all that is kept: found from its end, it is the one that looking at each bin finds."""

from hypothesis import given
from hypothesis import strategies as st

from prometheus.scheduler.reservation import Reservation

BINS = st.lists(st.sampled_from((0, 0, 0, 2, 4)), max_size=16).map(lambda amounts: dict(enumerate(amounts)))


@given(BINS, BINS, BINS, BINS, st.integers(0, 4), st.integers(1, 5), st.integers(0, 20))
def test_no_earlier_stretch_fits_and_this_one_does(
    cores: dict[int, int],
    memory: dict[int, int],
    promised: dict[int, int],
    windowed: dict[int, int],
    first: int,
    count: int,
    end: int,
) -> None:
    kept = Reservation(
        planned={"cpu": cores, "memory": memory}, promised={"cpu": promised}, windowed={"cpu": windowed}
    )
    amounts, capacity = (("cpu", 2), ("memory", 1)), {"cpu": 6, "memory": 4}
    fitting = (
        place
        for place in range(first, end)
        if kept.blocks(amounts, capacity, place, count, heeds_windows=True) is None
    )
    assert kept.earliest(amounts, capacity, first, count, end) == next(fitting, None)


def test_all_windows_are_closed_at_once() -> None:
    kept = Reservation()
    kept.open_window("wide", (("cpu", 4),), 3, 2)
    kept.open_window("small", (("cpu", 1),), 4, 2)
    kept.close_windows()
    kept.check()
    assert not kept.windows
    assert kept.earliest((("cpu", 4),), {"cpu": 4}, 3, 2, 9) == 3
