"""The studio in a real browser: from a prompt to an exported motion of an edited generator, with mouse, keys, and on a
telephone's width."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exuvia.motion.load import load_clip
from exuvia.pipeline.pipeline import MotionPipeline
from test_studio_server import START_S, Running, running

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

FLAGS = (
    "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader"
).split()
WAIT_MS = 1000 * START_S
KICK = "a man kicks something with his left leg"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = [os.environ.get("EXUVIA_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for path in map(shutil.which, names) if path), None)
    if not found:
        pytest.skip("no Chromium on the PATH and EXUVIA_CHROMIUM names none")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("studio")) as made:
        yield made


class Visit:
    """A page whose console must stay silent."""

    def __init__(self, browser: Any, studio: Running, width: int = 1280, height: int = 900) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.complaints: list[str] = []
        self.page.on("console", lambda line: self._hear(line.type, line.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(studio.address)
        self.page.wait_for_selector('[data-ready="true"]', timeout=WAIT_MS)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "GPU stall" not in text and "WebGL" not in text:
            self.complaints.append(text)

    def see(self, selector: str) -> Any:
        return self.page.wait_for_selector(selector, timeout=WAIT_MS)

    def picture(self, selector: str, path: Path) -> np.ndarray:
        self.see(selector).screenshot(path=path)
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), np.int32)

    def leave(self) -> None:
        fault = self.page.locator("html").get_attribute("data-fault")
        self.page.close()
        assert fault is None
        assert not self.complaints


def test_from_a_prompt_to_a_cleaned_glb(browser: Any, studio: Running, tmp_path: Path) -> None:
    visit = Visit(browser, studio)
    page = visit.page

    # a prompt, and the motion moves
    page.fill("#prompt", KICK)
    page.keyboard.press("Control+Enter")
    visit.see('[data-state="done"] canvas')
    page.wait_for_timeout(1500)
    early = visit.picture("canvas", tmp_path / "early.png")
    page.wait_for_timeout(900)
    late = visit.picture("canvas", tmp_path / "late.png")
    assert (np.abs(early - late).max(-1) > 60).mean() > 0.002, "pixels change from frame to frame"
    assert "violent" in page.inner_text(".verdict")

    # it is made to forget
    page.click("text=Forget")
    visit.see("#method")
    assert page.input_value("#concept") == "violence"
    page.click(".go")
    visit.see("[data-generator]")

    # both side by side, the same codes, some replaced
    page.click(".compare")
    visit.see("#prompt")
    assert page.locator(".choice input:checked").count() == 2
    page.fill("#prompt", KICK)
    page.click(".go")
    visit.see('[data-state="done"] figure:nth-of-type(2) canvas')
    row = page.locator(".job").first
    assert row.locator(".verdict").all_inner_texts()[1].startswith("harmless")
    assert row.locator("figure").nth(0).locator(".cell.replaced").count() == 0
    assert row.locator("figure").nth(1).locator(".cell.replaced").count() > 0
    assert "% of violence clips" in row.locator(".cell").first.get_attribute("title")

    # the cleaned motion is taken along
    for form in ("glb", "npy"):
        row.locator("figure").nth(1).locator(".export select").select_option(form)
        with page.expect_download() as download:
            row.locator("figure").nth(1).locator(".download").click()
        target = tmp_path / f"clean.{form}"
        download.value.save_as(target)
    assert (tmp_path / "clean.glb").read_bytes()[:4] == b"glTF"
    assert load_clip(tmp_path / "clean.npy").frames > 20

    # and everything is there again
    page.reload()
    visit.see('[data-state="done"] figure:nth-of-type(2) canvas')
    page.click("text=Forget")
    assert "64 codes replaced" in visit.see("[data-generator]").inner_text()
    visit.leave()


def test_an_audit_by_keyboard(browser: Any, studio: Running) -> None:
    visit = Visit(browser, studio)
    page = visit.page
    page.focus("nav a[href='#/audit']")
    page.keyboard.press("Enter")
    visit.see("fieldset input")
    page.focus("textarea")
    page.keyboard.type(f"{KICK}\na person stands still\n<img src=x onerror=alert(1)>")
    page.focus(".go")
    page.keyboard.press("Enter")
    visit.see(".lines")
    page.focus(".lines li button")
    page.keyboard.press("Enter")
    visit.see(".lines canvas")
    page.locator(".lines .line .marks button").nth(1).focus()
    page.keyboard.press("Enter")
    visit.see('.lines .marks button[aria-pressed="true"]')
    page.check("text=show all prompts")
    assert "<img src=x onerror=alert(1)>" in page.inner_text(".lines")
    assert page.locator(".lines img").count() == 0
    page.locator(".scrubber").focus()
    before = page.input_value(".scrubber")
    page.keyboard.press("ArrowRight")
    assert float(page.input_value(".scrubber")) != float(before)
    visit.leave()


def test_what_goes_wrong_is_told_on_the_page(browser: Any, studio: Running) -> None:
    visit = Visit(browser, studio)
    page = visit.page
    page.fill("#prompt", "x" * 2500)
    page.click(".go")
    assert "2000" in visit.see('[role="alert"]').inner_text()
    page.click("text=Close")
    page.click("text=Forget")
    page.fill("#concept", "vilence")
    page.click(".go")
    assert "did you mean 'violence'?" in visit.see('.job[data-state="failed"] .status-text').inner_text()
    visit.complaints = [one for one in visit.complaints if "422" not in one]
    visit.leave()


def test_a_page_of_an_older_studio_says_so(browser: Any, studio: Running) -> None:
    page = browser.new_page()
    page.route("**/api/v1/catalogue", lambda route: route.continue_(headers={**route.request.headers, OLD: "0.0.0"}))
    page.goto(studio.address)
    told = page.wait_for_selector(".notice", timeout=WAIT_MS)
    assert "another version" in told.inner_text()
    page.close()


OLD = "x-exuvia-version"


def test_a_file_that_is_read_wrongly_is_settled_and_taken_along_for_an_engine(
    browser: Any, studio: Running, tmp_path: Path
) -> None:
    visit = Visit(browser, studio, 360, 740)
    page = visit.page
    legs_m = 0.8 / 14.2  # in this unit, legs look like CMU's
    np.save(tmp_path / "odd.npy", MotionPipeline.from_pretrained("base")("a person walks", frames=60).joints / legs_m)
    picker = page.locator('input[type="file"]')
    assert picker.get_attribute("accept") == ",".join(studio.get("/catalogue")["uploads"])
    picker.set_input_files(tmp_path / "odd.npy")
    doubt = visit.see("figure .status-text").inner_text()
    assert "read as CMU's unit" in doubt
    label = doubt.split('"')[1]
    page.focus(".side summary")
    page.keyboard.press("Enter")
    page.get_by_label(label).press_sequentially(f"{legs_m}\n")
    assert page.locator('[role="alert"]').count() == 0, "no motion is asked for"
    picker.set_input_files(tmp_path / "odd.npy")
    visit.see(".job:first-child figure:not(:has(.status-text)) .download")
    settled = page.locator(".job").first
    settled.get_by_text("How the file was read").click()
    assert "no doubt" in settled.locator("pre").inner_text()

    # switches of the file, by keyboard; they are remembered
    settled.locator(".finish summary").press("Enter")
    settled.get_by_label("rig").focus()
    page.keyboard.type("unity")
    settled.get_by_label("in place").press("Space")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.reload()
    visit.see(".download")
    assert page.locator(".finish summary").first.inner_text() == "For other programs: unity, in place"
    with page.expect_download() as download:
        page.locator(".download").first.click()
    download.value.save_as(tmp_path / "a.glb")
    assert b"LeftUpperLeg" in (tmp_path / "a.glb").read_bytes()
    assert np.abs(load_clip(tmp_path / "a.glb").joints[:, 0, [0, 2]]).max() < 1e-4
    page.locator(".export select").first.select_option("mp4")
    assert page.locator(".finish").first.get_by_label("rig").count() == 0
    assert "rig" not in page.locator(".download").first.get_attribute("href")
    visit.leave()


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("view", ["make", "forget", "audit", "report"])
def test_every_view_fits_the_screen(browser: Any, studio: Running, view: str, width: int) -> None:
    visit = Visit(browser, studio, width, 844)
    visit.page.goto(f"{studio.address}/#/{view}")
    visit.see("main form, main .empty, main .job")
    visit.page.wait_for_timeout(300)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = "button:not([aria-label]):empty, input:not([aria-label]):not([id]):not(label input), img:not([alt])"
    assert visit.page.locator(unnamed).count() == 0
    visit.leave()
