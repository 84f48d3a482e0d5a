"""Values that a user may give for a job's options, one reader each: the checked value, or `UserError` that says why not."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus.core.errors import UserError
from prometheus.core.ids import canonical_json, check_name
from prometheus.core.instants import DAY_US, parse_duration
from prometheus.pipelines.defaults import TIERS
from prometheus.pipelines.model import Target

PARAMS_AT_MOST = 65_536  # characters of JSON; more is data, and belongs in a file
RETRIES_AT_MOST = 100
TIMEOUT_AT_MOST_US = 30 * DAY_US

_MODULE_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_FILE_TARGET = re.compile(r"(?!/)[^:\n\\]+\.py:[^\W\d]\w*(\.[^\W\d]\w*)*")
_CO_GENERATOR, _CO_COROUTINE, _CO_ASYNC_GENERATOR, _CO_VARARGS = 0x20, 0x80, 0x200, 0x04


def read_target(target: object) -> Target:
    """What a worker is told to run for a declared function, name or command; `UserError` if it could not."""
    if isinstance(target, str):
        return _named_target(target)
    if isinstance(target, Sequence):
        return _command(target)
    return _function_target(target)


def _named_target(target: str) -> str:
    is_inside = ".." not in target.partition(":")[0].split("/")
    if _MODULE_TARGET.fullmatch(target) or (_FILE_TARGET.fullmatch(target) and is_inside):
        return target
    hint = f"a command is a list: {target.split()!r}" if " " in target.strip() else None
    raise UserError(
        f"{target!r} names no function",
        allowed='"package.module:function", or "file.py:function" with a path below the folder of this file',
        hint=hint,
    )


def _command(words: Sequence[object]) -> tuple[str, ...]:
    if not words:
        raise UserError("the command is empty", allowed='a list such as ["Rscript", "risk.R"]')
    for word in words:
        if not isinstance(word, str) or "\0" in word:
            raise UserError(
                f"the command has the word {word!r}", allowed="text", hint="turn numbers into text with str()"
            )
    if not words[0]:
        raise UserError("the command has no program", allowed="its first word names a program")
    return tuple(str(word) for word in words)


def _function_target(function: object) -> str:
    module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not callable(function) or not isinstance(module, str) or not isinstance(qualname, str):
        hint = "give fixed arguments as params=" if callable(function) else None
        raise UserError(
            f"{function!r} cannot be a job",
            allowed='a function, "package.module:function", or a command as a list',
            hint=hint,
        )
    if "<" in qualname:
        what = "a lambda" if qualname.endswith("<lambda>") else "defined inside another function"
        raise UserError(
            f"{qualname} is {what}, which a worker cannot find by name",
            hint="define it at the top of a file",
        )
    _check_shape(function, qualname)
    return f"{module}:{qualname}"


def _check_shape(function: Any, qualname: str) -> None:  # Any: methods and functions, as found
    if isinstance(function, types.MethodType) and not isinstance(function.__self__, type):
        raise UserError(
            f"{qualname} is a method of an object, which a worker does not have", hint="use a plain function"
        )
    if not isinstance(function, types.FunctionType):
        return
    code = function.__code__
    if code.co_flags & (_CO_COROUTINE | _CO_ASYNC_GENERATOR):
        raise UserError(
            f"{qualname} is async, so calling it does no work", hint="call asyncio.run inside of it"
        )
    if code.co_flags & _CO_GENERATOR:
        raise UserError(f"{qualname} yields, so calling it does no work", hint="return a value instead")
    required = code.co_argcount - len(function.__defaults__ or ())
    by_name = code.co_kwonlyargcount - len(function.__kwdefaults__ or {})
    takes_one = required <= 1 and by_name == 0 and (code.co_argcount or code.co_flags & _CO_VARARGS)
    if "." not in qualname and not takes_one:
        raise UserError(f"{qualname} cannot be called with one argument", hint=f"def {qualname}(task): ...")


def read_text(what: str, value: object) -> str:
    """Text. Raises `UserError` otherwise."""
    if isinstance(value, str):
        return value
    raise UserError(f"{what} is {value!r}", allowed="text")


def read_tier(value: object) -> int:
    """A tier. Raises `UserError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in TIERS:
        raise UserError(f"tier is {value!r}", allowed="1 (must run), 2 (may degrade), 3 (takes what is left)")
    return value


def read_retries(value: object) -> int:
    """A number of attempts after the first. Raises `UserError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= RETRIES_AT_MOST:
        raise UserError(f"retries is {value!r}", allowed=f"a whole number from 0 to {RETRIES_AT_MOST}")
    return value


def span_reader(what: str, at_most_us: int) -> Callable[[Any], int]:
    """A reader of the duration called `what`: microseconds, more than 0 and at most `at_most_us`, else `UserError`."""

    def read(value: Any) -> int:  # Any: the user's file may say anything
        try:
            span_us = parse_duration(value)
        except UserError as error:
            raise UserError(f"{what}: {error.message}", allowed=error.allowed) from None
        if not 0 < span_us <= at_most_us:
            raise UserError(
                f"{what} is {value!r}", allowed=f"more than nothing, at most {at_most_us // DAY_US}d"
            )
        return span_us

    return read


def read_pools(value: object) -> tuple[tuple[str, int], ...]:
    """Units of named pools, sorted by name. Raises `UserError` otherwise."""
    if not isinstance(value, Mapping):
        raise UserError(f"pools is {value!r}", allowed='a mapping such as {"db": 1}')
    for pool, units in value.items():
        check_name("pool", pool)
        if isinstance(units, bool) or not isinstance(units, int) or not 1 <= units <= 1_000_000:
            raise UserError(f"the pool {pool!r} is asked for {units!r} units", allowed="whole numbers from 1")
    return tuple(sorted(value.items()))


def read_params(value: object) -> str:
    """Canonical JSON text of a mapping. Raises `UserError` otherwise."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UserError(f"params is {value!r}", allowed='a mapping with text keys such as {"window": 60}')
    try:
        text = canonical_json(dict(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"params is not JSON: {error}", allowed="text, finite numbers, booleans, None, lists, mappings"
        ) from None
    if len(text) > PARAMS_AT_MOST:
        raise UserError(f"params has {len(text):,} characters of JSON", allowed=f"at most {PARAMS_AT_MOST:,}")
    return text


def read_degrade(value: object) -> tuple[str, ...]:
    """Rungs of a ladder. Raises `UserError` otherwise."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise UserError(f"degrade is {value!r}", allowed='a list such as ["reduced", "last_good", "skip"]')
    rungs = tuple(check_name("mode", rung) for rung in value)
    if len(set(rungs)) < len(rungs) or "full" in rungs:
        raise UserError(f"degrade is {value!r}", allowed='different words, none of them "full"')
    if "skip" in rungs[:-1]:
        raise UserError(f"degrade is {value!r}", hint='nothing comes after "skip"; put it last')
    return rungs
