"""Ids of the studio's generators: an id never stands for other weights than before."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from exuvia.errors import CheckpointError
from exuvia.studio import library as library_module
from exuvia.studio.database import open_database
from exuvia.studio.library import Generator, Library
from exuvia.studio.queue import Unknown
from exuvia.studio.settings import Settings
from exuvia.studio.worker import LoadedGenerators
from tiny import tiny_pipeline


def saved(folder: Path, seed: int) -> Path:
    pipe = tiny_pipeline()
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in pipe.base.parameters():
            weight.copy_(torch.randn_like(weight))
    return pipe.save_pretrained(folder)


def started(folder: Path, url: str = "", **pipelines: str | Path) -> Library:
    """A studio's library after a start with these generators."""
    about = Settings(folder=folder, database=url, pipelines={name: str(path) for name, path in pipelines.items()})
    library = Library(open_database(about.url), about)
    library.offer()
    return library


def by_key(library: Library) -> dict[str, Generator]:
    with library.engine.connect() as link:
        keys: dict[str, str] = {row.id: row.key for row in link.execute(text("SELECT id, key FROM pipelines"))}
    return {keys[one.id] or one.id: one for one in library.generators()}


def first_weight(library: Library, name: str) -> float:
    return float(next(iter(LoadedGenerators(library, "cpu")(name).base.parameters())).flatten()[0])


def test_a_renamed_shipped_generator_keeps_its_id_and_its_edits(tmp_path: Path) -> None:
    library = started(tmp_path)
    base = by_key(library)["base"]
    library.keep(base.id, "my base", None)
    saved(library.place_for("e" * 32), 1)
    with library.engine.begin() as link:
        library.add_edited(link, "e" * 32, "without violence", base.id, "j", {})
    again = started(tmp_path)
    assert (again.generator(base.id).name, by_key(again)["base"].id) == ("my base", base.id)
    assert again.generator(again.generator("e" * 32).parent or "").id == base.id


def test_a_given_generator_that_is_called_base_stays_what_it_is(tmp_path: Path) -> None:
    folder = saved(tmp_path / "safe", 1)
    library = started(tmp_path / "studio", safe=folder)
    safe, weight = by_key(library)["safe"], first_weight(library, by_key(library)["safe"].id)
    library.keep(safe.id, "base", None)
    again = started(tmp_path / "studio", safe=folder)
    found = again.generator(safe.id)
    assert (found.name, found.place, found.origin) == ("base", str(folder), "given")
    assert by_key(again)["base"].id != safe.id
    assert first_weight(again, safe.id) == weight


def test_other_weights_get_an_id_of_their_own_and_the_old_id_waits_for_its_own(tmp_path: Path) -> None:
    folder, kept = saved(tmp_path / "x", 1), tmp_path / "kept"
    library = started(tmp_path / "studio", x=folder)
    old = by_key(library)["x"].id
    loaded, weight = LoadedGenerators(library, "cpu"), first_weight(library, old)
    shutil.copytree(folder, kept)
    saved(folder, 2)
    with pytest.raises(CheckpointError, match="'x' have changed; restart the studio"):
        loaded(old)
    library = started(tmp_path / "studio", x=folder)
    new = by_key(library)["x"].id
    assert new != old
    assert first_weight(library, new) != weight
    with pytest.raises(Unknown, match="'x' is not available"):
        library.generator(old)
    assert by_key(started(tmp_path / "studio")).keys() == {"base"}
    library = started(tmp_path / "studio", x=kept)
    assert by_key(library)["x"].id == old
    assert first_weight(library, old) == weight


def test_an_edited_generator_whose_files_were_exchanged_is_refused(tmp_path: Path) -> None:
    library = started(tmp_path)
    saved(library.place_for("e" * 32), 1)
    with library.engine.begin() as link:
        library.add_edited(link, "e" * 32, "safe", by_key(library)["base"].id, "j", {})
    assert first_weight(library, "e" * 32)
    saved(library.place_for("e" * 32), 2)
    with pytest.raises(CheckpointError, match=r"'safe' have changed$"):
        LoadedGenerators(started(tmp_path), "cpu")("e" * 32)


NAMES = ("a", "b", "base")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    starts=st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(NAMES[:2]), st.sampled_from(["w1", "w2", "w3"]), max_size=2),
            st.lists(st.tuples(st.integers(0, 3), st.sampled_from(NAMES)), max_size=3),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_no_sequence_of_starts_and_renames_gives_an_id_other_weights(
    monkeypatch: pytest.MonkeyPatch, starts: list[tuple[dict[str, str], list[tuple[int, str]]]]
) -> None:
    monkeypatch.setattr(
        library_module, "_current", lambda place, facts={}: {"place": place, "weights": place, "facts": dict(facts)}
    )
    seen: dict[str, tuple[str, str | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for given_now, renames in starts:
            library = started(Path(folder), "", **given_now)
            found = by_key(library)
            assert set(found) == {"base", *given_now}
            for key, one in found.items():
                assert one.weights == given_now.get(key, "base")
                assert seen.setdefault(one.id, (key, one.weights)) == (key, one.weights)
                same = [name for name, facts in seen.items() if facts == (key, one.weights)]
                assert same == [one.id], "the same weights under the same key are the same generator"
            for place, name in renames:
                library.keep(list(found.values())[place % len(found)].id, name, None)
            library.engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def former(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database with the tables of version 1."""
    url = request.getfixturevalue("postgres") if request.param == "postgresql" else ""
    engine = open_database(Settings(folder=tmp_path / "studio", database=url).url)
    with engine.begin() as link:
        for line in ("jobs DROP COLUMN lost", "pipelines DROP COLUMN key", "pipelines DROP COLUMN weights"):
            link.execute(text(f"ALTER TABLE {line}"))
        link.execute(text("UPDATE about SET value = '1' WHERE key = 'schema'"))
        link.execute(text("DELETE FROM pipelines"))
    yield url
    with engine.begin() as link:
        link.execute(text("DELETE FROM pipelines"))
    engine.dispose()


def _enter(engine: Engine, **row: Any) -> None:
    row = {"facts": "{}", "kept": True, "created": 1.0, "parent": None} | row
    names = ", ".join(row)
    with engine.begin() as link:
        link.execute(text(f"INSERT INTO pipelines ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row)


def test_a_database_of_version_1_keeps_its_history(former: str, tmp_path: Path) -> None:
    safe, url = saved(tmp_path / "safe", 1), former
    about = Settings(folder=tmp_path / "studio", database=url)
    edited = Library(open_database(about.url), about)  # brings the tables along
    saved(edited.place_for("e" * 32), 2)
    _enter(edited.engine, id="a" * 32, name="my base", origin="shipped", place="base")
    _enter(edited.engine, id="b" * 32, name="base", origin="given", place=str(safe))
    _enter(edited.engine, id="e" * 32, name="edit", origin="edited", place="x", parent="a" * 32)
    library = started(tmp_path / "studio", url, safe=safe)
    found = {one.id: (one.name, one.origin) for one in library.generators()}
    assert found == {"a" * 32: ("my base", "shipped"), "b" * 32: ("base", "given"), "e" * 32: ("edit", "edited")}
    assert {key: one.id for key, one in by_key(library).items()} == {
        "base": "a" * 32, "safe": "b" * 32, "e" * 32: "e" * 32,
    }  # fmt: skip
    for name in ("b" * 32, "e" * 32):
        assert first_weight(library, name)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_folder_and_the_database_are_the_user_s_alone(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        started(tmp_path / "studio")
        (tmp_path / "shared").mkdir(0o755)
        (tmp_path / "shared" / "thesis.txt").write_text("mine")
        mode = stat.S_IMODE((tmp_path / "shared").stat().st_mode)
        started(tmp_path / "shared")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "studio").stat().st_mode) == 0o700
    for path in (*(tmp_path / "studio").glob("studio.sqlite*"), tmp_path / "shared" / "studio.sqlite"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == mode, "a folder of other things stays as it was"


def test_a_studio_s_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    started(tmp_path / "studio")
    (tmp_path / "studio").chmod(0o755)
    (tmp_path / "studio" / "studio.sqlite").chmod(0o644)
    started(tmp_path / "studio")
    assert stat.S_IMODE((tmp_path / "studio").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "studio" / "studio.sqlite").stat().st_mode) == 0o600
