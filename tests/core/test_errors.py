"""Errors that cross a process border come out as they went in."""

from __future__ import annotations

import pickle

from prometheus.core.errors import SettingsError
from prometheus.pipelines.model import FaultsError


def test_a_user_error_survives_pickling_with_all_that_it_says() -> None:
    error = SettingsError("the port is 'x'", allowed="a number", hint="say 8470")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, copy.allowed, copy.hint) == (
        SettingsError,
        error.message,
        "a number",
        "say 8470",
    )
    assert str(copy) == str(error)


def test_so_does_one_that_is_made_from_other_arguments() -> None:
    copy = pickle.loads(pickle.dumps(FaultsError("pipeline p", ("a is odd", "b is missing"))))
    assert (type(copy), copy.faults) == (FaultsError, ("a is odd", "b is missing"))
    assert "b is missing" in str(copy)
