"""docs/features.md names every table and column that the jobs write, and every feature job of the night."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from prometheus.features import (
    correlations,
    exposures,
    factor_model,
    factor_returns,
    numeric_embeddings,
    profiles,
    returns,
    stability_components,
    text_embeddings,
    volatility,
)
from prometheus.pipelines.building import build

COLUMNS = {
    returns.TABLE: [f"ret_{horizon}d" for horizon in returns.HORIZONS],
    volatility.TABLE: ["vol_ewma", *(f"vol_{window}d" for window in volatility.REALISED)],
    correlations.TABLE: list(correlations.COLUMNS),
    factor_model.TABLE: ["f01", f"f{factor_model.FACTORS:02d}", "specific_var"],
    exposures.TABLE: list(exposures.STYLES),
    factor_returns.TABLE: ["factor", "ret"],
    numeric_embeddings.TABLE: [numeric_embeddings.NAMES[0], numeric_embeddings.NAMES[-1]],
    text_embeddings.TABLE: ["text_id", "instrument_id", "encoder", "vector", "synthetic"],
    profiles.TABLE: ["issuer_id", "vector", "synthetic"],
    profiles.SNAPSHOTS: ["profile", "reasons", "synthetic"],
    stability_components.TABLE: [*stability_components.COMPONENTS, "fragility"],
}


@pytest.fixture(scope="module")
def page(project: Path) -> str:
    return (project / "docs" / "features.md").read_text()


@pytest.mark.parametrize("table", COLUMNS)
def test_the_page_names_the_table_with_its_columns(page: str, table: str) -> None:
    assert f"`{table}`" in page
    assert [name for name in COLUMNS[table] if f"`{name}`" not in page] == []


def test_the_page_says_what_every_feature_job_of_the_night_costs(page: str) -> None:
    night = build(import_module("prometheus.pipelines.shipped.us_eq_daily").pipeline)
    jobs = [job.name for job in night.jobs if str(job.target).startswith("prometheus.features")]
    costs = page.partition("## What it costs")[2]
    assert len(jobs) == 8
    assert [name for name in jobs if f"| `{name}` |" not in costs] == []


def test_the_windows_on_the_page_are_those_of_the_code(page: str) -> None:
    assert f"Windows of {numeric_embeddings.WINDOW} sessions" in page
    assert f"in the {numeric_embeddings.FITTED_ON} sessions before it" in page.replace("\n", " ")
    assert f"needs {numeric_embeddings.MINIMUM_WEEKS} weeks" in page
    assert f"last {profiles.TEXTS_OF_DAYS} days" in page
    assert f"needs {factor_returns.MINIMUM} instruments" in page
