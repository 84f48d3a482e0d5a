"""What a person sees while a run goes on: market clock, tasks, promises; or, in a log, a line for each change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from prometheus.cli.face import cell, table
from prometheus.cli.words import SIGNS, forecast_words, slo_words, state_word, task_words
from prometheus.core.instants import SECOND_US, from_us
from prometheus.monitoring.axis import clock_words, span_words
from prometheus.monitoring.night import day_words, place_of
from prometheus.scheduler.states import HOLDING_ROOM, SloState, TaskState

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table
    from rich.text import Text

    from prometheus.core.time import TradingCalendar
    from prometheus.orchestrator.foreground import Progress
    from prometheus.scheduler.snapshot import SloRow, TaskRow

MOST_TASKS = 24  # with a row each; more are counted, and only those that run or went ill are named
FRAMES_A_SECOND = 5
BAND_WIDTH = 64

WARNINGS = frozenset({SloState.AT_RISK, SloState.WILL_MISS})  # a person may still do something

# Changes that are worth a line in a log; the others follow at once from these.
_SAID = frozenset(TaskState) - {TaskState.WAITING, TaskState.READY, TaskState.STARTING}


class Display(Protocol):
    """Shows a run as it goes on; used as a context, around the run."""

    def show(self, progress: Progress) -> None: ...

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def display_for(console: Console, quiet: bool, monotonic_us: Callable[[], int]) -> Display:
    """The live display on a terminal; lines anywhere else; nothing but lines about trouble when `quiet`."""
    if console.is_terminal and not quiet:
        return LiveDisplay(console, monotonic_us)
    return LineDisplay(console)


class LineDisplay:
    """A line for each change of state, without control codes: for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, tuple[TaskState, int]] = {}
        self._slos: dict[str, SloState] = {}
        self._note = ""

    def __enter__(self) -> LineDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, progress: Progress) -> None:
        first = not self._states
        if first:
            self._console.print(headline(progress), soft_wrap=True)
        for task in progress.tasks:
            now = (task.state, task.attempts)
            if self._states.get(task.task_id) != now:
                if task.state in _SAID and not (first and task.state is TaskState.SUCCEEDED):
                    self._console.print(_line(task, progress.now_us), soft_wrap=True)
                self._states[task.task_id] = now
        for slo in progress.slos:
            if self._slos.get(slo.slo_id, SloState.ON_TRACK) is not slo.state:
                at = clock_words(slo.finished_us or progress.now_us, progress.now_us, seconds=True)
                said = f"  {cell(slo.reason)}" if slo.state in WARNINGS else ""
                self._console.print(
                    f"{at}  promise {slo.name}: {state_word(slo.state)}{said}", soft_wrap=True
                )
            self._slos[slo.slo_id] = slo.state
        if progress.note != self._note:
            self._note = progress.note
            if progress.note:
                self._console.print(
                    f"{from_us(progress.now_us):%H:%M:%S}  {cell(progress.note)}", soft_wrap=True
                )


def _line(task: TaskRow, now_us: int) -> str:
    at = task.ended_us or now_us
    parts = [f"{from_us(at):%H:%M:%S}  {task.job}  {state_word(task.state)}"]
    if task.started_us is not None and task.ended_us is not None:
        parts.append(span_words(task.ended_us - task.started_us))
    if task.attempts > 1 and not task.reason.startswith("attempt "):
        parts.append(f"attempt {task.attempts}")
    if task.state not in {TaskState.SUCCEEDED, TaskState.RUNNING} and task.reason:
        parts.append(cell(task.reason))
    return "  ".join(parts)


class LiveDisplay:
    """A moving picture in a terminal, drawn a few times a second; between turns its clock runs on."""

    def __init__(self, console: Console, monotonic_us: Callable[[], int]) -> None:
        from rich.live import Live

        self._monotonic_us = monotonic_us
        self._progress: Progress | None = None
        self._seen_us = 0
        self._calendar: TradingCalendar | None = None
        self._live = Live(
            console=console,
            refresh_per_second=FRAMES_A_SECOND,
            get_renderable=self._frame,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, progress: Progress) -> None:
        if self._calendar is None:
            self._calendar = calendar_of(progress.run.plan.market)
        self._progress, self._seen_us = progress, self._monotonic_us()

    def _frame(self) -> RenderableType:
        if self._progress is None:
            from rich.text import Text

            return Text("loading the pipeline", "dim")
        return frame(
            self._progress, self._progress.now_us + self._monotonic_us() - self._seen_us, self._calendar
        )


def calendar_of(market: str) -> TradingCalendar | None:
    """The market's calendar, or None: a picture can do without."""
    from prometheus.core.time import CalendarError, TradingCalendar

    try:
        return TradingCalendar(market)
    except CalendarError:
        return None


def headline(progress: Progress) -> str:
    """What is running, in one line."""
    plan = progress.run.plan
    replayed = ", replayed" if plan.replayed else ""
    return f"{plan.pipeline} for {day_words(plan.session)} ({plan.market}{replayed}), {len(plan.tasks)} tasks"


class frame:  # noqa: N801  # a renderable that is called like a function
    """One picture of a run at `now_us`."""

    def __init__(self, progress: Progress, now_us: int, calendar: TradingCalendar | None) -> None:
        self.progress, self.now_us, self.calendar = progress, now_us, calendar

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield Text(headline(self.progress), "bold")
        yield Text(market_clock(self.now_us, self.calendar))
        band = session_band(
            self.progress, self.now_us, self.calendar, min(BAND_WIDTH, options.max_width - 14)
        )
        if band is not None:
            yield band
        yield Text("")
        tasks = self.progress.tasks
        if len(tasks) <= min(MOST_TASKS, max(6, console.height - 14)):
            yield task_table(tasks, self.now_us)
        else:
            yield Text(counts(tasks))
            busy = [task for task in tasks if task.state in HOLDING_ROOM or task.state is TaskState.FAILED]
            yield task_table(busy[: max(4, min(MOST_TASKS, console.height - 16))], self.now_us)
        yield Text("")
        for slo in self.progress.slos:
            yield slo_line(slo, self.now_us)
            if slo.state in WARNINGS:
                yield Text(f"  {cell(slo.reason)}", "yellow")
        if self.progress.note:
            yield Text("")
            yield Text(cell(self.progress.note), "yellow")


def market_clock(now_us: int, calendar: TradingCalendar | None) -> str:
    """What time it is in the run's clock, and what the market is doing: "20:30:14 UTC, 16:30 New York, POST_CLOSE"."""
    at = from_us(now_us)
    words = f"{at:%a %H:%M:%S} UTC"
    if calendar is None:
        return words
    from prometheus.core.time import CalendarRangeError

    try:
        local = at + calendar.local_offset(at)
        pause = " (in a break)" if calendar.is_in_break(at) else ""
        return f"{words} · {local:%H:%M} {place_of(calendar)} · {calendar.market_id} {calendar.state_at(at)}{pause}"
    except CalendarRangeError:
        return words


def session_band(
    progress: Progress, now_us: int, calendar: TradingCalendar | None, width: int
) -> Text | None:
    """The session as a line of blocks, deadlines as bars, now as a triangle; None without a calendar or room."""
    from rich.text import Text

    from prometheus.core.time import CalendarError

    if calendar is None or width < 20:
        return None
    try:
        session = progress.run.plan.session
        opens, closes = calendar.open_us(session), calendar.close_us(session)
    except CalendarError:
        return None
    ends = [closes, now_us, *(slo.deadline_us for slo in progress.slos)]
    start, end = min(opens, now_us) - 900 * SECOND_US, max(ends) + 900 * SECOND_US
    marks = [" "] * width
    for column in range(width):
        at = start + (end - start) * (2 * column + 1) // (2 * width)
        marks[column] = "━" if opens <= at < closes else "┈"
    places = [(slo.deadline_us, "┃") for slo in progress.slos] + [(now_us, "▲")]
    for at, sign in places:
        marks[min(width - 1, (at - start) * width // (end - start))] = sign
    text = Text()
    text.append(f"{from_us(start):%H:%M} ", "dim")
    styles = {"━": "yellow", "┈": "dim", "┃": "red", "▲": "bold"}
    for sign in marks:
        text.append(sign, styles[sign])
    text.append(f" {from_us(end):%H:%M}", "dim")
    return text


def task_table(tasks: Sequence[TaskRow], now_us: int) -> Table:
    """A row a task: state, tier, how long, what is unusual."""
    made = table("", "task", "tier", "took", "")
    for task in tasks:
        sign, style = SIGNS[task.state]
        from rich.text import Text

        made.add_row(
            Text(sign, style), cell(task.job), str(task.tier), took(task, now_us), cell(remark(task))
        )
    return made


def took(task: TaskRow, now_us: int) -> str:
    """How long it has worked, from its first attempt; empty if it has not."""
    if task.started_us is None:
        return ""
    if task.ended_us is None and task.state not in HOLDING_ROOM:
        return ""
    return span_words(max(0, (task.ended_us or now_us) - task.started_us))


def remark(task: TaskRow) -> str:
    """What a glance needs beside the sign: the state in words unless it is plain, the attempt, the reason."""
    parts = [] if task.state in {TaskState.SUCCEEDED, TaskState.RUNNING} else [state_word(task.state)]
    if task.attempts > 1 and not task.reason.startswith("attempt "):
        parts.append(f"attempt {task.attempts}")
    if task.refusal and task.state is TaskState.READY:
        parts.append(task.refusal)
    elif task.state in {
        TaskState.FAILED,
        TaskState.BACKING_OFF,
        TaskState.BLOCKED,
        TaskState.HELD,
        TaskState.SKIPPED,
        TaskState.DEGRADED,
        TaskState.CANCELLED,
    }:
        parts.append(task.reason)
    return " · ".join(parts)


def counts(tasks: Sequence[TaskRow]) -> str:
    """How many tasks are in each state."""
    by_state = {state: sum(task.state is state for task in tasks) for state in TaskState}
    return "  ".join(f"{task_words(state).plain} {count:,}" for state, count in by_state.items() if count)


def slo_line(slo: SloRow, now_us: int) -> Text:
    """A promise with its countdown or verdict, and while it is open what the forecast says."""
    from rich.text import Text

    text = slo_words(slo.state)
    due = clock_words(slo.deadline_us, now_us)
    if slo.finished_us is not None:
        spare = slo.deadline_us - slo.finished_us
        side = "to spare" if spare >= 0 else "late"
        done = clock_words(slo.finished_us, now_us, seconds=True)
        tail = f"done {done}, due {due}, {span_words(spare)} {side}"
    elif slo.state is SloState.MISSED or now_us > slo.deadline_us:
        tail = f"due {due}, not done"
    else:
        foreseen = forecast_words(slo.foreseen, now_us)
        tail = f"due {due}, in {span_words(slo.deadline_us - now_us)}" + (f"; {foreseen}" if foreseen else "")
    return Text.assemble(f"{slo.name:<16} ", text, " " * max(1, 10 - len(text.plain)), tail)
