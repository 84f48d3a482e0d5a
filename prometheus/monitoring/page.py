"""What every picture shares: its margins, how words are broken into lines, and the document around its shapes."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus.monitoring.svg import Canvas, escape, number, shorten, text_width
from prometheus.monitoring.theme import PATTERNS, Theme, style

NARROW = 640  # below this width labels stand above their rows
LEAST_WIDTH = 320
USUAL_WIDTH = 1240
MOST_WIDTH = 10_000


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things go on this page."""

    width: float
    narrow: bool
    margin: float
    gutter: float  # left of the plot, for names

    @property
    def left(self) -> float:
        return self.margin + self.gutter

    @property
    def plot(self) -> float:
        return self.width - self.left - self.margin


def frame_of(width: int, gutter: float) -> Frame:
    """The frame of a page so wide; a narrow one has no gutter. ValueError below `LEAST_WIDTH`."""
    if width < LEAST_WIDTH:
        raise ValueError(f"width {width} is too narrow; at least {LEAST_WIDTH}")
    narrow = width < NARROW
    return Frame(float(width), narrow, 16.0 if narrow else 24.0, 0.0 if narrow else gutter)


def wrap(words: str, size: float, room: float) -> list[str]:
    """`words` broken at spaces into lines of at most `room` pixels."""
    lines: list[str] = []
    for word in words.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(shorten(word, size, room) or word[:3])
    return lines


def document(canvas: Canvas, width: float, height: float, title: str, told: str, theme: Theme) -> str:
    """The shapes as one SVG document; `told` is the picture in words, for those who do not see it."""
    wide, high = number(width), number(height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}"'
        f' height="{high}" class="desk" role="img">\n'
        f"<title>{escape(title)}</title>\n<desc>{escape(told)}</desc>\n"
        f'{style(theme)}{PATTERNS}<rect width="100%" height="100%" class="paper"/>\n'
        f"{canvas.body()}\n</svg>\n"
    )
