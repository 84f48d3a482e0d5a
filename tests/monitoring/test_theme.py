"""The picture's colours reach viewers that know nothing of variables."""

from __future__ import annotations

import re

import pytest

from prometheus.monitoring.theme import Theme, style


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_every_colour_is_literal(theme: Theme) -> None:
    assert "var(" not in style(theme)
    assert "--" not in style(theme)


def test_the_reader_who_prefers_dark_gets_every_colour_again_and_nothing_else() -> None:
    plain, dark = style("auto").split("@media (prefers-color-scheme:dark)")
    colours = re.compile(r"(?:fill|stroke):#[0-9a-f]{6}")
    assert len(colours.findall(dark)) == len(colours.findall(plain)) > 20
    assert "font-size" not in dark
