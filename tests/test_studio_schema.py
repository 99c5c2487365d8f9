"""The API against its own description: generated requests, valid or not, never make the studio fail."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from exuvia.studio.app import create_app
from exuvia.studio.settings import Settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

LEFT_OUT = ("/api/v1/events",)
"""Answers never end."""


def test_no_request_makes_it_fail(tmp_path: Path) -> None:
    app = create_app(Settings(folder=tmp_path, host="0.0.0.0"), workers=False)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in LEFT_OUT:
            continue

        @settings(max_examples=20, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            nonlocal tried
            tried += 1
            answer = case.call()
            assert answer.status_code < 500, f"{case.method} {case.formatted_path}: {answer.text}"
            if answer.status_code >= 400:
                assert isinstance(answer.json()["detail"], str)

        check()
    assert tried > 300
