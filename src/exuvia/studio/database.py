"""The studio's database tables and the engine: SQLite in the studio's folder, or PostgreSQL by URL."""

import contextlib
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import JSON, Boolean, Column, Engine, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from exuvia.errors import ConfigError, DataError, OutputError
from exuvia.readers import parse_json

SCHEMA = 2
"""Version of the tables, raised when older programs can no longer read them; version 1 is upgraded."""
SINCE_1 = {"jobs": ("lost INTEGER NOT NULL DEFAULT 0",), "pipelines": ("key TEXT", "weights VARCHAR(64)")}
"""Table -> columns that version 1 lacks."""
FILE = "studio.sqlite"
OURS = {FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal", "generators", "cache"}
"""Everything that a studio writes into its folder."""

tables = MetaData()

about = Table("about", tables, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False))

clock = Table("clock", tables, Column("id", Integer, primary_key=True), Column("revision", Integer, nullable=False))
"""One row: the revision of the last change of any job."""

jobs = Table(
    "jobs",
    tables,
    Column("id", String(32), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("lane", String(10), nullable=False),
    Column("state", String(12), nullable=False),
    Column("request", JSON, nullable=False),
    Column("result", JSON),
    Column("message", Text, nullable=False, default=""),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer, nullable=False, default=0),
    Column("cancel", Boolean, nullable=False, default=False),
    Column("attempt", Integer, nullable=False, default=1),
    Column("lost", Integer, nullable=False, default=0),  # how often its worker died
    Column("revision", Integer, nullable=False, default=0),
    Column("worker", String(40), nullable=False, default=""),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Index("jobs_waiting", "state", "lane", "created"),
    Index("jobs_revision", "revision"),
)
motions = Table(
    "motions",
    tables,
    Column("id", String(32), primary_key=True),
    Column("job", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), index=True),
    Column("pipeline", String(32), index=True),
    Column("number", Integer, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("seed", Integer),
    Column("fps", Float, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("violence", Float),
    Column("joints", sa.LargeBinary, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("created", Float, nullable=False),
)
marks = Table(
    "marks",
    tables,
    Column("motion", String(32), ForeignKey("motions.id", ondelete="CASCADE"), primary_key=True),
    Column("label", String(20), nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("changed", Float, nullable=False),
)
pipelines = Table(
    "pipelines",
    tables,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("key", Text),  # the name given at start-up; renaming changes `name` only
    Column("weights", String(64)),  # see library.weights_of
    Column("origin", String(10), nullable=False),  # shipped, given, edited
    Column("place", Text, nullable=False),  # empty: not available now
    Column("parent", String(32)),
    Column("job", String(32)),
    Column("facts", JSON, nullable=False),
    Column("kept", Boolean, nullable=False, default=False),
    Column("created", Float, nullable=False),
)


def open_database(url: str) -> Engine:
    """Return an engine and create missing tables. Raises ConfigError, DataError (other version) or OutputError."""
    shown = _shown(url)
    try:
        if url.startswith("sqlite:///"):
            make_private(Path(url.removeprefix("sqlite:///")))
        engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"), json_deserializer=_from_json)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _prepare_sqlite)
        _create(engine, shown)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        expected = "expected sqlite:///FILE or postgresql://USER@HOST/NAME"
        raise ConfigError(f"{shown} is not a usable database ({error}); {expected}") from None
    except (DBAPIError, OSError) as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise OutputError(f"the database {shown} cannot be used: {reason}") from None
    return engine


def make_private(database: Path) -> None:
    """Create the studio's folder and database file, readable by this user only. Raises OSError.

    A folder that contains other files keeps its permissions.
    """
    folder = database.parent
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # the folder belongs to another user
        if {path.name for path in folder.iterdir()} <= OURS:
            folder.chmod(0o700)
    os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))
    with contextlib.suppress(PermissionError):
        database.chmod(0o600)


def _from_json(cell: Any) -> Any:
    """Return a cell's value; None if it is damaged, so that the other rows stay readable."""
    try:
        return parse_json(cell, "a cell") if isinstance(cell, str | bytes) else cell
    except DataError:
        return None


def _shown(url: str) -> str:
    """Return the URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return repr(url.split("@")[-1])


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Allow readers next to one writer, wait for locks instead of failing, and delete rows with their parents."""
    cursor = connection.cursor()
    for line in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=15000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {line}")
    cursor.close()


def _create(engine: Engine, shown: str) -> None:
    fresh = not sa.inspect(engine).has_table("about")
    tables.create_all(engine)
    with engine.begin() as link:
        if fresh:
            link.execute(sa.insert(about).values(key="schema", value=str(SCHEMA)))
            link.execute(sa.insert(clock).values(id=1, revision=0))
        version = link.scalar(sa.select(about.c.value).where(about.c.key == "schema"))
        if version == "1":
            version = str(SCHEMA)
            for table, columns in SINCE_1.items():
                present = {column["name"] for column in sa.inspect(link).get_columns(table)}
                for column in columns:
                    if column.split()[0] not in present:
                        link.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN {column}"))
            link.execute(sa.update(about).where(about.c.key == "schema").values(value=version))
    if version != str(SCHEMA):
        hint = "use the version of Exuvia that created it, or another folder"
        raise DataError(f"the database {shown} has tables of version {version}, expected {SCHEMA}; {hint}")
