"""`prometheus research`: what research found, its warnings first, and old nights decided again as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from prometheus.cli.decided import odds_of
from prometheus.cli.face import AsJson, Face, Home, NoColor, cell, open_face, parse_day, print_json, table

app = typer.Typer(
    help="What research found, and old nights decided again.", no_args_is_help=True, rich_markup_mode=None
)

Market = Annotated[str, typer.Option("--market", help="The market. [US_EQ]")]
# Of what is about the whole world.
MARKETS: Mapping[str, str] = {"global_view": "GLOBAL"}
Report = Mapping[str, Any]  # JSON, as the jobs of `prometheus.research` wrote it


@app.command("list")
def listing(as_json: AsJson = False, home: Home = None, no_color: NoColor = False) -> None:
    """Every report that there is: its session, market and kind."""
    from prometheus.research.reports import reports

    face = open_face(as_json, home, None, no_color)
    found = reports(face.settings)
    if as_json:
        print_json([{name: str(row[name]) for name in ("as_of_date", "market_id", "kind")} for row in found])
        return
    shown = table("session", "market", "kind")
    for row in found:
        shown.add_row(str(row["as_of_date"]), row["market_id"], row["kind"])
    face.out.print(shown)
    face.err.print(f"{len(found)} reports; `prometheus research show` prints one")


@app.command()
def show(
    kind: Annotated[
        str,
        typer.Option("--kind", help="backtest, deciles, performance_by_regime or global_view. [backtest]"),
    ] = "backtest",
    session: Annotated[
        str | None, typer.Option("--session", metavar="DATE", help="The session. [the latest with a report]")
    ] = None,
    market: Annotated[
        str | None, typer.Option("--market", help="The market. [US_EQ; GLOBAL for global_view]")
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """One report, with what it does not mean before what it says."""
    from prometheus.research.reports import report_of

    face = open_face(as_json, home, None, no_color)
    market = market or MARKETS.get(kind, "US_EQ")
    row = report_of(face.settings, kind, market, None if session is None else parse_day(session, "--session"))
    report: Report = row["report"]
    if as_json:
        print_json({**report, "session": str(row["as_of_date"]), "kind": kind, "market": market})
        return
    face.out.print(f"{kind} of {market}, as of {row['as_of_date']}", style="bold")
    for warning in report.get("warnings", []):
        face.out.print(f"! {cell(warning)}", soft_wrap=True)
    face.out.print()
    TELL.get(kind, _plain)(face, report)


@app.command()
def replay(
    session: Annotated[str, typer.Option("--session", metavar="DATE", help="The session decided for.")],
    market: Market = "US_EQ",
    as_json: AsJson = False,
    home: Home = None,
    no_color: NoColor = False,
) -> None:
    """Decide an old night again from the table versions it was decided from, and compare; changes nothing."""
    from prometheus.research.replay import replay as decide_again

    face = open_face(as_json, home, None, no_color)
    found = decide_again(face.settings, parse_day(session, "--session"), market)
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        shown = table("engine", "decision", "made again", "verdict")
        for one in found:
            verdict = "; ".join(one.differences) or "the same"
            shown.add_row(one.engine, one.recorded[:12], one.replayed[:12], cell(verdict))
        face.out.print(shown)
    if any(one.differences for one in found):
        raise typer.Exit(1)


def _backtest(face: Face, report: Report) -> None:
    face.out.print(
        f"{report['first']} to {report['last']}: {report['sessions']} sessions, {report['rebalances']} rebalances"
    )
    face.out.print()
    shown = table("", "a year", "volatility", "Sharpe", "worst loss", "from", "to")
    series = {"net": report["net"], "before costs": report["gross"], **report["benchmarks"]}
    for name, one in series.items():
        shown.add_row(
            name.replace("_", " "),
            _percent(one["annual_return"]),
            _percent(one["annual_volatility"]),
            _ratio(one),
            _percent(one["max_drawdown"]),
            one["drawdown_from"] or "the start",
            one["drawdown_to"] or "",
        )
    face.out.print(shown)
    face.out.print()
    for heading, key in (("regime", "by_regime"), ("year", "by_year")):
        rows = table(
            heading, "sessions", "net", *(name.replace("_", " ") for name in report["benchmarks"]), "Sharpe"
        )
        for part in report[key]:
            rivals = [_percent(part[name]) for name in report["benchmarks"]]
            rows.add_row(
                str(part[heading]), str(part["sessions"]), _percent(part["return"]), *rivals, _ratio(part)
            )
        face.out.print(rows)
        face.out.print()
    _backtest_tail(face, report)


def _backtest_tail(face: Face, report: Report) -> None:
    turnover, costs, capacity = report["turnover"], report["costs"], report["capacity"]
    face.out.print(
        f"turnover {_percent(turnover['mean'])} a rebalance after the first, {_percent(turnover['annual'])} a year; "
        f"costs {_percent(costs['annual'])} of capital a year",
        soft_wrap=True,
    )
    chances = ", ".join(
        f"{_percent(chance)} if it is the best of {trials}"
        if trials != "1"
        else f"{_percent(chance)} taken alone"
        for trials, chance in report["deflated_sharpe"].items()
    )
    face.out.print(f"probability that the true Sharpe ratio is above that of luck: {chances}", soft_wrap=True)
    if capacity is not None:
        face.out.print(f"capacity {capacity['dollars']:,.0f} USD: {capacity['note']}", soft_wrap=True)


def _deciles(face: Face, report: Report) -> None:
    face.out.print(f"{report['first']} to {report['last']}: {report['periods']} periods")
    face.out.print()
    shown = table("decile", "mean return a period")
    for number, mean in enumerate(report["deciles"], 1):
        shown.add_row(str(number), _percent(mean))
    face.out.print(shown)
    face.out.print()
    face.out.print(
        f"best less worst {_percent(report['spread'])} a period (t {_number(report['spread_t'])}), rank correlation "
        f"{_number(report['information_coefficient'])} (t {_number(report['information_coefficient_t'])}), "
        f"monotonicity {_number(report['monotonicity'])}",
        soft_wrap=True,
    )


def _record(face: Face, report: Report) -> None:
    face.out.print(f"{report['nights']} nights, {report['first'] or 'none'} to {report['last'] or 'none'}")
    face.out.print()
    shown = table(
        "regime", "nights", "mean day", "risk taken / said", "rank correlation", "spread said", "happened"
    )
    losses = table("regime", "measure", "nights", "exceeded", "expected", "p")
    for part in report["by_regime"]:
        returns, volatility, scores = part["returns"], part["volatility"], part["scores"]
        shown.add_row(
            part["regime"],
            str(part["nights"]),
            _percent(returns.get("mean_daily"), 3) + _error(returns.get("mean_error"), 3),
            _number(volatility.get("realised_over_predicted")),
            _number(scores.get("rank_correlation")),
            _percent(scores.get("expected_spread")),
            _percent(scores.get("realised_spread")),
        )
        for one in part["value_at_risk"]:
            losses.add_row(
                part["regime"],
                one["measure"],
                str(one["nights"]),
                str(one["exceeded"]),
                _number(one["expected"]),
                _number(one["p_value"]),
            )
    face.out.print(shown)
    face.out.print()
    face.out.print(losses)


def _world(face: Face, report: Report) -> None:
    regime = report["regime"]
    face.out.print(
        f"the world is {regime['label']} since {regime['since']} ({odds_of(regime)})", soft_wrap=True
    )
    face.out.print()
    shown = table("region", "as of", "regime", "since", "fragile", "soft targets", "invested")
    for name, region in report["regions"].items():
        theirs, stability, held = region["regime"], region.get("stability"), region.get("portfolio")
        shown.add_row(
            name,
            theirs["as_of_date"],
            theirs["label"],
            theirs["since"] or "",
            "-" if stability is None else _number(1.0 - stability["stability"]["market"]),
            "-" if stability is None else str(stability["instruments"].get("SOFT_TARGET", 0)),
            "-" if held is None else _percent(held["net"]),
        )
    face.out.print(shown)
    face.out.print()
    for what, why in sorted({**report["not_observed"], **report["absent"]}.items()):
        face.out.print(cell(f"absent: {what}, {why}"), soft_wrap=True)


def _plain(face: Face, report: Report) -> None:
    shown = table("", "")
    for name, value in report.items():
        if name != "warnings":
            shown.add_row(name, cell(value))
    face.out.print(shown)


TELL: Mapping[str, Callable[[Face, Report], None]] = {
    "backtest": _backtest,
    "deciles": _deciles,
    "performance_by_regime": _record,
    "global_view": _world,
}


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}%}"


def _error(value: float | None, digits: int) -> str:
    return "" if value is None else f" ± {value:.{digits}%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ratio(one: Mapping[str, Any]) -> str:
    return "-" if one["sharpe"] is None else f"{one['sharpe']:.2f} ± {one['sharpe_error']:.2f}"
