"""What comes with the package: it builds, it names functions that exist, and it fits the smallest machine."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from prometheus.core.demand import Bin, Capacity
from prometheus.orchestrator.loading import shipped_names
from prometheus.pipelines.building import build
from prometheus.pipelines.checking import check_fits
from prometheus.pipelines.model import PipelineSpec


def spec_of(name: str) -> PipelineSpec:
    return build(import_module(f"prometheus.pipelines.shipped.{name}").pipeline)


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_pipeline_is_named_as_its_module_and_fits_one_core(name: str) -> None:
    spec = spec_of(name)
    assert spec.name == name
    assert spec.description
    assert check_fits(spec, Capacity((Bin("laptop", 1000, 1024),))) == []


@pytest.mark.parametrize("name", shipped_names())
def test_every_job_of_a_shipped_pipeline_is_a_function_that_exists(name: str, project: Path) -> None:
    for job in spec_of(name).jobs:
        assert isinstance(job.target, str)
        module, _, function = job.target.partition(":")
        tree = ast.parse((project / (module.replace(".", "/") + ".py")).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, job.target


def test_the_night_is_the_spec_s() -> None:
    spec = spec_of("us_eq_daily")
    assert [job.name for job in spec.jobs] == [
        "ingest_prices",
        "ingest_volumes",
        "ingest_ohlcv",
        "ingest_actions",
        "ingest_macro",
        "ingest_indices",
        "ingest_fx",
        "ingest_facts",
        "ingest_futures",
        "ingest_texts",
        "validate",
        "ingest_issuers",
        "validate_context",
        "returns",
        "volatility",
        "factors",
        "correlations",
        "stability_components",
        "numeric_embeddings",
        "text_embeddings",
        "profiles",
        "regime",
        "stability",
        "assessment",
        "universe",
        "portfolio",
        "risk_report",
        "decision_log",
    ]
    assert {job.name for job in spec.jobs if job.tier != 1} == {
        "ingest_texts",
        "ingest_futures",
        "numeric_embeddings",
        "text_embeddings",
        "profiles",
        "risk_report",
    }
    assert all(job.retries == 3 for job in spec.jobs if job.name.startswith("ingest"))
    assert [(slo.name, str(slo.by)) for slo in spec.slos] == [
        ("ingestion", 'at("D+1 00:00", "UTC")'),
        ("engines", 'at("D+1 01:00", "UTC")'),
        ("decision logs", 'at("D+1 01:15", "UTC")'),
    ]
    assert str(spec.start) == 'session.close + "30min"'
    assert str(spec_of("us_eq_preopen").start) == 'session.open - "90min"'
