"""Devices and precisions: what is not here is refused before anything is loaded, what is slow is said once."""

import dataclasses
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from exuvia import __main__ as cli
from exuvia import device
from exuvia.commands.table import COMMAND
from exuvia.device import choose_precision, devices
from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import resolve
from exuvia.text.minilm import MiniLM
from exuvia.train import TrainConfig, fit
from tests.test_train import TinyTask

ABSENT = ("gpu", "cuda:99", "", "meta", "cpu:x", "tpu", "mps:7")


def with_device() -> list[tuple[str, list[str]]]:
    """Every command that can be told a device, with an example's words."""
    found = []
    for name, entry in COMMAND.items():
        function = resolve({name: entry.target}, name, "command")
        kind = cli.config_type(name, entry, function)
        if kind is not None and "device" in {field.name for field in dataclasses.fields(kind)}:
            found.append((name, entry.examples[0].split(" --")[0].split()[1:]))
    return found


@pytest.mark.parametrize(("name", "words"), with_device(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_refuses_a_device_that_is_not_here_before_it_loads_anything(
    name: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*args: Any, **options: Any) -> None:
        raise AssertionError("something was loaded")

    monkeypatch.setattr(MotionPipeline, "from_pretrained", load)
    for absent in ABSENT:
        assert cli.main([*words, "--device", absent]) == 2
        said = capsys.readouterr().err
        assert repr(absent) in said
        assert f"one of this machine: {', '.join(devices())}" in said
        assert said.count("\n") == 1


def test_commands_with_a_device_are_found() -> None:
    assert {"generate", "stream", "evaluate", "audit", "studio"} <= {name for name, _ in with_device()}


def test_the_processor_is_known_without_loading_pytorch() -> None:
    code = "import sys; from exuvia.device import check_device; check_device('cpu'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ABSENT)
def test_python_entrances_refuse_it_too(name: str) -> None:
    for load in (lambda: MotionPipeline.from_pretrained("base", device=name), lambda: MiniLM(device=name)):
        with pytest.raises(ConfigError, match="one of this machine: cpu"):
            load()


def test_devices_that_are_here_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "devices", lambda: ["cpu", "mps", "cuda:0", "cuda:1"])
    for name in ("cpu", "cpu:0", "mps", "mps:0", "cuda", "cuda:0", "cuda:1"):
        assert device.check_device(name) == name
    for name in ("cuda:2", "mps:1", "xpu", "cpu:1"):
        with pytest.raises(ConfigError, match="cpu, mps, cuda:0, cuda:1"):
            device.check_device(name)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged; sentences that were logged once are logged again."""
    device._log_once.cache_clear()
    caplog.set_level(logging.INFO)
    yield caplog
    device._log_once.cache_clear()


def processor(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(names, True), raising=False)
    monkeypatch.setattr(device, "training_device", lambda: "cpu")


@pytest.mark.parametrize(
    ("names", "chosen"), [(("avx2",), "no"), (("avx512_f",), "no"), (("amx_bf16",), "bf16"), (("avx512_bf16",), "bf16")]
)
def test_auto_takes_bf16_where_the_processor_has_it_and_says_which(
    names: tuple[str, ...], chosen: str, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    processor(monkeypatch, *names)
    assert choose_precision("auto") == chosen
    (record,) = said.records
    assert record.levelno == logging.INFO
    assert ("bf16 (" if chosen == "bf16" else "float32 (") in record.message


@pytest.mark.parametrize("asked", ["bf16", "fp16"])
def test_a_slow_precision_that_is_asked_for_is_taken_with_one_warning(
    asked: Any, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    processor(monkeypatch, "avx2")
    assert [choose_precision(asked) for _ in range(3)] == [asked] * 3
    (record,) = said.records
    assert record.levelno == logging.WARNING
    assert asked in record.message
    said.clear()
    processor(monkeypatch, "avx512_bf16", "avx512_fp16")
    assert choose_precision(asked) == asked
    assert not said.records


def test_a_graphics_card_has_bf16_from_compute_capability_8(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, chosen in (((7, 5), "no"), ((8, 0), "bf16"), ((9, 0), "bf16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda found=capability: found)
        assert choose_precision("auto", "cuda") == chosen


def test_a_run_records_the_precision_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "avx2")
    fit(TinyTask, TrainConfig(steps=2, warmup=1, precision="auto"), tmp_path)
    text = (tmp_path / "provenance.json").read_text()
    assert '"precision": "no"' in text
    assert '"precision": "auto"' in text
