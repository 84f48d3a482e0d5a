"""Reads the session language from text: the inverse of `str`, with the position of every fault.

The grammar is small enough to read by hand; nothing is evaluated, and nothing nests deeper than a barrier's cut-off.

    expression := ("session" | NAME "(" arguments ")") { "." NAME [ "(" INT ")" ] | "(" INT ")" } { ("+" | "-") STRING }
    arguments  := [ argument { "," argument } ] ;  argument := [ NAME "=" ] (STRING | INT | "[" strings "]" | expression)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from prometheus.core.errors import UserError
from prometheus.pipelines import moments
from prometheus.pipelines.moments import AfterRun, Barrier, Clock, Edge, Every, Moment, Session, TradingDayOf

TEXT_AT_MOST = 100_000  # characters: a barrier over every pipeline a desk may have
DEPTH_AT_MOST = 4
HINT = 'session.close + "30min", market("XLON").open - "90min", trading_day_of("week", -1).close, at("07:00", "UTC")'

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<int>-?\d{1,9}(?!\w))|(?P<text>\"[^\"\\\n]*\"|'[^'\\\n]*')|(?P<mark>[.()\[\],=+-]))",
    re.ASCII,
)


class Token(NamedTuple):
    """One word of the text."""

    kind: str  # name, int, text, mark, end
    text: str
    at: int  # position of its first character


class Form(NamedTuple):
    """A function of the language: how it is called and with which arguments."""

    make: Callable[..., moments.Value]
    parameters: tuple[str, ...]  # in order
    required: int


FORMS: Mapping[str, Form] = {
    "market": Form(moments.market, ("market_id",), 1),
    "trading_day_of": Form(moments.trading_day_of, ("period", "n", "weekday", "roll"), 2),
    "at": Form(moments.at, ("clock", "zone", "gap", "fold"), 1),
    "every": Form(moments.every, ("interval", "during"), 2),
    "after_run": Form(moments.after_run, ("pipeline", "session"), 1),
    "barrier": Form(moments.barrier, ("pipelines", "quorum", "cutoff"), 1),
}


def parse(text: object) -> moments.Value:
    """The value that `text` writes: what `str` of a moment, trigger or session gives, or a clock "D+1 00:00 UTC".

    Raises `UserError` with the position for anything else.
    """
    if not isinstance(text, str):
        raise UserError(f"{text!r} is not text", allowed=HINT)
    if len(text) > TEXT_AT_MOST:
        raise UserError(f"the text has {len(text):,} characters", allowed=f"at most {TEXT_AT_MOST:,}")
    if moments.is_clock_text(text):
        return moments.at(text)
    return _Reader(text).whole()


def as_moment(value: object, what: str) -> Moment:
    """`value` (a moment, or its text) as a moment; `UserError` that begins with `what` otherwise."""
    found = parse(value) if isinstance(value, str) else value
    if isinstance(found, Edge | Clock):
        return found
    if isinstance(found, Session | TradingDayOf):
        raise UserError(f"{what} is the session {found}", hint=f"take a moment of it: {found}.close")
    raise UserError(f"{what} is {value!r}", allowed=f"a moment: {HINT}")


def as_trigger(value: object, what: str) -> moments.Trigger:
    """`value` (or its text) as what may start a run; `UserError` that begins with `what` otherwise."""
    found = parse(value) if isinstance(value, str) else value
    return found if isinstance(found, Every | AfterRun | Barrier) else as_moment(found, what)


class _Reader:
    """Tokens of one text, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split()
        self.position = 0

    def whole(self) -> moments.Value:
        value = self.expression(0)
        if self.peek().kind != "end":
            self.fail(self.peek(), f"{self.peek().text!r} was not expected here")
        return value

    def expression(self, depth: int) -> moments.Value:
        if depth > DEPTH_AT_MOST:
            self.fail(self.peek(), "this nests too deep")
        first = self.take()
        if first.kind != "name":
            self.fail(first, "a name was expected", allowed=f"session, {', '.join(FORMS)}")
        value: moments.Value
        if first.text == "session":
            value = moments.session
        elif first.text in FORMS:
            value = self.call(first, FORMS[first.text], depth)
        else:
            self.fail(first, f"{first.text!r} is not a word of this language", allowed=_near(first.text))
        return self.offsets(self.trailers(value))

    def trailers(self, value: moments.Value) -> moments.Value:
        while self.peek().text in {".", "("} and self.peek().kind == "mark":
            token = self.take()
            if token.text == "(":
                value = self.shifted(token, value)
                continue
            name = self.take()
            if name.text == "session" and isinstance(value, Session) and self.peek().text == "(":
                value = self.shifted(self.take(), value)
            elif name.text in {"open", "close"} and isinstance(value, Session | TradingDayOf):
                value = value.open if name.text == "open" else value.close
            elif name.text in {"next", "previous"} and isinstance(value, Session):
                value = self.guard(name, value, 1 if name.text == "next" else -1)
            else:
                allowed = {Session: "open, close, next, previous", TradingDayOf: "open, close"}.get(
                    type(value), "nothing"
                )
                self.fail(name, f"{value} has no {name.text!r}", allowed=allowed)
        return value

    def shifted(self, bracket: Token, value: moments.Value) -> Session:
        number = self.take()
        if not isinstance(value, Session) or number.kind != "int":
            self.fail(bracket, "a number of sessions may stand only after a session", allowed="session(-2)")
        self.expect(")")
        return self.guard(number, value, int(number.text))

    def guard(self, token: Token, value: Session, n: int) -> Session:
        try:
            return value(n)
        except UserError as error:
            self.fail(token, error.message, allowed=error.allowed)

    def offsets(self, value: moments.Value) -> moments.Value:
        while self.peek().text in {"+", "-"} and self.peek().kind == "mark":
            sign, amount = self.take(), self.take()
            if not isinstance(value, Edge | Clock):
                self.fail(
                    sign, f"only a moment can be moved, and {value} is none", allowed="session.close, at(...)"
                )
            if amount.kind != "text":
                self.fail(amount, "a duration was expected", allowed='text in quotes such as "30min"')
            try:
                value = value + amount.text[1:-1] if sign.text == "+" else value - amount.text[1:-1]
            except UserError as error:
                self.fail(amount, error.message, allowed=error.allowed)
        return value

    def call(self, name: Token, form: Form, depth: int) -> moments.Value:
        self.expect("(")
        given: dict[str, object] = {}
        while self.peek().text != ")" or self.peek().kind != "mark":
            token = self.peek()
            keyword = token.kind == "name" and self.tokens[self.position + 1].text == "="
            if keyword:
                self.position += 2
                parameter = token.text
            elif len(given) < len(form.parameters):
                parameter = form.parameters[len(given)]
            else:
                parameter = ""
            if parameter not in form.parameters or parameter in given:
                allowed = f"{name.text}({', '.join(form.parameters)})"
                self.fail(token, "this argument has no place, or is given twice", allowed=allowed)
            given[parameter] = self.argument(depth)
            if self.peek().text == ",":
                self.take()
            elif self.peek().text != ")":
                self.fail(self.peek(), "a comma or the closing bracket was expected")
        self.expect(")")
        missing = [parameter for parameter in form.parameters[: form.required] if parameter not in given]
        if missing:
            self.fail(
                name,
                f"{name.text}() lacks {missing[0]}",
                allowed=f"{name.text}({', '.join(form.parameters)})",
            )
        try:
            return form.make(**given)
        except UserError as error:
            self.fail(name, error.message, allowed=error.allowed, hint=error.hint)

    def argument(self, depth: int) -> object:
        token = self.peek()
        if token.kind == "text":
            return self.take().text[1:-1]
        if token.kind == "int":
            return int(self.take().text)
        if token.text == "[":
            return self.strings()
        return self.expression(depth + 1)

    def strings(self) -> list[str]:
        self.expect("[")
        found: list[str] = []
        while self.peek().kind == "text":
            found.append(self.take().text[1:-1])
            if self.peek().text != ",":
                break
            self.take()
        self.expect("]")
        return found

    def expect(self, mark: str) -> None:
        token = self.take()
        if token.kind != "mark" or token.text != mark:
            self.fail(token, f"{mark!r} was expected")

    def peek(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.tokens[self.position]
        if token.kind != "end":
            self.position += 1
        return token

    def fail(
        self, token: Token, message: str, *, allowed: str | None = None, hint: str | None = None
    ) -> NoReturn:
        raise _fault(self.text, token.at, message, allowed, hint) from None

    def _split(self) -> list[Token]:
        tokens, position = [], 0
        end = len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None or match.lastgroup is None:
                at = position + len(self.text[position:]) - len(self.text[position:].lstrip())
                raise _fault(self.text, at, f"{self.text[at]!r} was not expected here", HINT, None)
            tokens.append(Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            position = match.end()
        tokens.append(Token("end", "the end of the text", end))
        return tokens


def _fault(text: str, at: int, message: str, allowed: str | None, hint: str | None) -> UserError:
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    return UserError(f"{shown!r}, character {at + 1}: {message}", allowed=allowed, hint=hint)


def _near(word: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, ["session", *FORMS], n=1)
    return f"{close[0]} (did you mean that?)" if close else f"session, {', '.join(FORMS)}"
