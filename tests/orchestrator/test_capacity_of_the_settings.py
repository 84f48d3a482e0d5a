"""What the settings say of the machine, and from when it is that."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from prometheus.core.demand import Bin, Capacity
from prometheus.core.errors import SettingsError
from prometheus.core.instants import to_us
from prometheus.core.settings import load_settings
from prometheus.core.time import TradingCalendar
from prometheus.orchestrator.capacity import announce

USUAL = Capacity((Bin("local", 4_000, 8_192),), (("db", 4),))


def us(text: str) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=UTC))


def said(folder: Path, toml: str, now: str) -> tuple[str, list[tuple[str, str]]]:
    """What the machine is at `now`, and what it will be from when on: cores and units of the pool."""
    (folder / "prometheus.toml").write_text(toml)
    changes = load_settings(folder, {}).resources.changes
    capacity, coming = announce(changes, USUAL, us(now), TradingCalendar)
    return words(capacity), [
        (datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()[:16], words(then)) for at_us, then in coming
    ]


def words(capacity: Capacity) -> str:
    return f"{capacity.bins[0].cpu_milli / 1000:g} cores, db {dict(capacity.pools)['db']}"


DAY = """
[[resources.changes]]
from = 'market("US_EQ").open - "30min"'
until = 'market("US_EQ").close'
cpu = 1
"""
NIGHT = """
[[resources.changes]]
from = "22:00 Europe/London"
until = "D+1 06:00 Europe/London"
pools = { db = 8 }
"""


def test_a_change_by_sessions_follows_the_market_and_its_half_days_and_holidays(tmp_path: Path) -> None:
    """Thanksgiving 2016: closed on Thursday 24 November, half a day on the 25th."""
    now, coming = said(tmp_path, DAY, "2016-11-23T12:00")
    assert now == "4 cores, db 4"
    assert coming[:5] == [
        ("2016-11-23T14:00", "1 cores, db 4"),
        ("2016-11-23T21:00", "4 cores, db 4"),
        ("2016-11-25T14:00", "1 cores, db 4"),
        ("2016-11-25T18:00", "4 cores, db 4"),
        ("2016-11-28T14:00", "1 cores, db 4"),
    ]


def test_a_change_by_the_clock_holds_every_day_and_knows_when_clocks_are_set(tmp_path: Path) -> None:
    """London leaves summer time in the night to 30 October 2016."""
    now, coming = said(tmp_path, NIGHT, "2016-10-28T23:00")
    assert now == "4 cores, db 8"
    assert coming[:5] == [
        ("2016-10-29T05:00", "4 cores, db 4"),
        ("2016-10-29T21:00", "4 cores, db 8"),
        ("2016-10-30T06:00", "4 cores, db 4"),
        ("2016-10-30T22:00", "4 cores, db 8"),
        ("2016-10-31T06:00", "4 cores, db 4"),
    ]


def test_changes_that_overlap_add_up_and_the_later_one_in_the_file_wins(tmp_path: Path) -> None:
    late = NIGHT.replace("pools = { db = 8 }", "cpu = 2\npools = { db = 6 }")
    now, coming = said(tmp_path, NIGHT + late + DAY, "2016-11-23T15:00")
    assert now == "1 cores, db 4"
    assert coming[:2] == [("2016-11-23T21:00", "4 cores, db 4"), ("2016-11-23T22:00", "2 cores, db 6")]


def test_a_session_without_its_market_is_that_of_the_change(tmp_path: Path) -> None:
    own = '[[resources.changes]]\nfrom = "session.open"\nuntil = "session.close"\nmarket = "US_EQ"\ncpu = 1\n'
    assert said(tmp_path, own, "2016-11-23T15:00")[0] == "1 cores, db 4"


def test_without_changes_nothing_is_announced(tmp_path: Path) -> None:
    assert said(tmp_path, "", "2016-11-23T15:00") == ("4 cores, db 4", [])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('until = "session.close"', "session.close belongs to no market"),
        ('until = "21:00 Europe/London"', "not after from 22:00 Europe/London"),
        ('until = "06:00"', "was not expected here"),
        ('until = "noon"', "'noon' is not a word of this language"),
        ('until = "D+1 06:00 Europe/Lundon"', "'Europe/Lundon' is not a time zone"),
        ("until = 'market(\"US_EQQ\").close'", "US_EQQ"),
        ('until = "D+1 06:00 UTC"\nmemory = "lots"', "lots"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_number(tmp_path: Path, line: str, says: str) -> None:
    toml = f'[[resources.changes]]\nfrom = "22:00 Europe/London"\n{line}\npools = {{ db = 8 }}\n'
    with pytest.raises(SettingsError, match=says) as told:
        said(tmp_path, toml, "2016-11-23T15:00")
    assert "[[resources.changes]] number 1" in told.value.message


@pytest.mark.parametrize("lines", ["", "cpu = -1", "cpu = 1\ngpu = 2", "pools = { db = -3 }", 'cpu = "many"'])
def test_a_change_with_wrong_fields_is_refused_with_the_settings(tmp_path: Path, lines: str) -> None:
    (tmp_path / "prometheus.toml").write_text(
        f'[[resources.changes]]\nfrom = "22:00 UTC"\nuntil = "23:00 UTC"\n{lines}\n'
    )
    with pytest.raises(SettingsError, match=r"resources\.changes\.0"):
        load_settings(tmp_path, {})
