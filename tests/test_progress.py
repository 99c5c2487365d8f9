"""Progress: a bar on a terminal, lines of the log elsewhere."""

import io
import logging
import sys

import pytest

from exuvia import progress
from exuvia.progress import progress_bar


class Clock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_lines_come_after_two_seconds_and_then_every_ten(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with progress_bar("evaluate", "motions") as tell:
        for done in range(31):
            clock.now = 100.0 + done
            tell(done, 60)
    assert [record.message for record in caplog.records] == [
        "evaluate: 2 of 60 motions, 58 s left",
        "evaluate: 12 of 60 motions, 48 s left",
        "evaluate: 22 of 60 motions, 38 s left",
    ]


def test_what_is_done_before_a_run_continues_does_not_count_as_fast(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with progress_bar("train", "steps", 900) as tell:
        clock.now += 50
        tell(950, 1000)
    assert caplog.messages == ["train: 950 of 1000 steps, 50 s left"]


def test_short_work_says_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with progress_bar("evaluate", "motions") as tell:
        clock.now += 1
        tell(60, 60)
    assert not caplog.messages


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("evaluate", "motions") as tell:
        tell(30, 60)
    shown = sys.stderr.getvalue()
    assert "evaluate" in shown
    assert "30/60" in shown
    assert not caplog.messages
