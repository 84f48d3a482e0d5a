"""The picture's colours and patterns: few, quiet, in pairs for light and dark, and never the only sign of anything."""

from __future__ import annotations

import re
from typing import Literal

Theme = Literal["auto", "light", "dark"]

_FONTS = 'Inter, system-ui, -apple-system, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif'

_LIGHT = {
    "paper": "#fbfbf9",
    "ink": "#1c1e21",
    "soft": "#5d6268",
    "grid": "#e6e6e1",
    "open": "#f2d398",
    "t1": "#2b5fa8",
    "t2": "#4f9a94",
    "t3": "#b0b4bb",
    "bad": "#b3261e",
    "due": "#a04a08",
    "good": "#2a7047",
    "now": "#c2410c",
    "card": "#ffffff",
    "lens": "#f1f2f0",
}
_DARK = {
    "paper": "#141619",
    "ink": "#eceae4",
    "soft": "#a2a7ae",
    "grid": "#2a2e33",
    "open": "#7a6331",
    "t1": "#6ea3ea",
    "t2": "#63b3ab",
    "t3": "#686e77",
    "bad": "#ff8a7e",
    "due": "#f0a35e",
    "good": "#7cc79a",
    "now": "#ff7a45",
    "card": "#1b1e22",
    "lens": "#1d2024",
}


_RULES = """
.desk text{fill:var(--ink);font-variant-numeric:tabular-nums}
.desk .h1{font-size:20px;font-weight:600}
.desk .b{font-size:13px;font-weight:600}
.desk .m,.desk .ax,.desk .mg,.desk .mb,.desk .md{font-size:11.5px;fill:var(--soft)}
.desk .n{font-size:12px}
.desk .mg{fill:var(--good)}.desk .mb{fill:var(--bad)}.desk .md{fill:var(--due)}
.desk .sg,.desk .sb,.desk .sd,.desk .ss{font-size:13px;font-weight:600}
.desk .sg{fill:var(--good)}.desk .sb{fill:var(--bad)}.desk .sd{fill:var(--due)}.desk .ss{fill:var(--soft)}
.desk .halo{paint-order:stroke;stroke:var(--paper);stroke-width:5px;stroke-linejoin:round}
.desk .paper{fill:var(--paper)}
.desk .grid{stroke:var(--grid);stroke-width:1}.desk .base{stroke:var(--grid);stroke-width:2}
.desk .open{fill:var(--open)}.desk .shut{stroke:var(--soft);stroke-width:1.5;fill:none}
.desk .t1{fill:var(--t1)}.desk .t2{fill:var(--t2)}.desk .t3{fill:var(--t3)}
.desk .e1,.desk .e2,.desk .e3{fill:none;stroke-width:1.2;stroke-dasharray:3 2}
.desk .e1{stroke:var(--t1)}.desk .e2{stroke:var(--t2)}.desk .e3{stroke:var(--t3)}
.desk .whisker{stroke:var(--soft);stroke-width:1.3;fill:none}
.desk .c1,.desk .c2,.desk .c3{fill:none;stroke-width:1;stroke-linecap:round;opacity:.55}
.desk .c1{stroke:var(--t1)}.desk .c2{stroke:var(--t2)}.desk .c3{stroke:var(--t3)}
.desk .bold{stroke-width:2.2;opacity:1}
.desk .dash1{stroke-dasharray:7 4}.desk .dash2{stroke-dasharray:2 4}
.desk .band1,.desk .band2,.desk .band3{opacity:.16}
.desk .band1{fill:var(--t1)}.desk .band2{fill:var(--t2)}.desk .band3{fill:var(--t3)}
.desk .hollow1,.desk .hollow2,.desk .hollow3{fill:var(--paper);stroke-width:2}
.desk .hollow1{stroke:var(--t1)}.desk .hollow2{stroke:var(--t2)}.desk .hollow3{stroke:var(--t3)}
.desk .failed{fill:url(#desk-hatch);stroke:var(--bad);stroke-width:1.2}
.desk .hatch{stroke:var(--bad);stroke-width:1.6}
.desk .cross{fill:none;stroke:var(--bad);stroke-width:2;stroke-linecap:round}
.desk .under{fill:none;stroke:var(--paper);stroke-width:5;stroke-linecap:round}
.desk .due{stroke:var(--due);stroke-width:1.6;stroke-dasharray:4 3}
.desk .now{stroke:var(--now);stroke-width:1.5}.desk .nowt{font-size:11.5px;font-weight:600;fill:var(--now)}
.desk .lens{fill:var(--lens)}
.desk .card{fill:var(--card);stroke:var(--grid)}.desk .card.sb{stroke:var(--bad);stroke-width:1.5}
.desk .rel{stroke:var(--soft);stroke-width:1.4;fill:none}
"""

PATTERNS = (
    '<defs><pattern id="desk-hatch" width="6" height="6" patternUnits="userSpaceOnUse"'
    ' patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="6" class="hatch"/></pattern></defs>'
)


def _coloured(colours: dict[str, str]) -> str:
    """The rules with literal colours: image viewers and converters know no variables and would paint all of it black."""
    return re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], _RULES.strip())


def _only_colours(rules: str) -> str:
    """What of the rules a second set of colours must say again."""
    kept = []
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", rules):
        said = [part for part in body.split(";") if "#" in part and "url(" not in part]
        if said:
            kept.append(f"{selector.strip()}{{{';'.join(said)}}}")
    return "".join(kept)


def style(theme: Theme) -> str:
    """The style sheet; "auto" follows the reader's own choice of light or dark."""
    rules = _coloured(_DARK if theme == "dark" else _LIGHT)
    if theme == "auto":
        rules += f"@media (prefers-color-scheme:dark){{{_only_colours(_coloured(_DARK))}}}"
    return f"<style>.desk text{{font-family:{_FONTS}}}{rules}</style>"
