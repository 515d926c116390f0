"""Backup, restore, rebuild and the documentation of the database."""

import contextlib
import json
import os
import re

import pytest
from results_corpus import fill, rows
from test_warehouse_questions import flow
from typer.testing import CliRunner

from lmpipe import warehouse
from lmpipe.cli import app
from lmpipe.errors import WarehouseError
from lmpipe.warehouse import keep, migrate, pages
from lmpipe.warehouse.read import asking


def everything(folder):
    """Give the rows of every table and view, sorted; floats to 12 digits, since their sums depend on order."""
    with asking(folder / warehouse.PUBLISHED, 60) as con:
        names = [name for (name,) in con.sql("select name from (show tables)").fetchall()]
        return {
            name: sorted(
                str([f"{value:.12g}" if isinstance(value, float) else value for value in row])
                for row in con.sql(f'from "{name}"').fetchall()
            )
            for name in names
            if name not in keep.BOOKKEEPING
        }


@pytest.fixture
def filled(tmp_path):
    folder, made = fill(tmp_path / "data")
    flow(folder, "f1", 0, ended=1)
    return folder, made


def damage(path):
    """Flip bits in every block."""
    whole = bytearray(path.read_bytes())
    for place in range(12_288 + 9_000, len(whole), 65_536):
        whole[place] ^= 0xFF
    path.write_bytes(whole)


# Backup and restore


def test_backups_are_verified_and_the_newest_are_kept(filled, monkeypatch):
    folder, _ = filled
    for second in range(4):
        monkeypatch.setattr(
            keep.time, "strftime", lambda form, when, s=second: form.replace("%Y%m%dT%H%M%S", f"2026-{s}")
        )
        made = warehouse.backup(folder, keep=2)
    assert [path.name for path in warehouse.backups(folder)] == ["lm-2026-3Z.duckdb", "lm-2026-2Z.duckdb"]
    assert len(list((folder / keep.BACKUPS).iterdir())) == 4  # each with its note
    assert json.loads(keep.noted(made).read_text())["rows"]["trainings"] == 2
    assert warehouse.verify(made)["trainings"] == 2


def test_a_damaged_database_is_not_backed_up(filled):
    folder, _ = filled
    good = warehouse.backup(folder, keep=1)
    damage(folder / warehouse.PRIVATE)
    with pytest.raises(WarehouseError, match="lmpipe warehouse restore"):
        warehouse.backup(folder, keep=1)
    assert warehouse.backups(folder) == [good]


def test_one_byte_of_a_backup_is_seen_wherever_it_is(filled):
    backup = warehouse.backup(filled[0])
    whole = backup.read_bytes()
    for place in range(0, len(whole), len(whole) // 30):
        backup.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(WarehouseError, match="its sha256 is not the one noted"):
            warehouse.verify(backup)


def test_restore_takes_the_newest_that_is_sound(filled):
    folder, _ = filled
    before = everything(folder)
    backup = warehouse.backup(folder)
    with warehouse.write(folder) as con:
        con.execute("insert into counts values ('later', 'k', 1)")
    (folder / warehouse.PUBLISHED).unlink()
    assert warehouse.restore(folder) == folder / warehouse.PRIVATE  # sound: only published anew
    assert rows(folder, "from counts where dataset = 'later'")
    damage(folder / warehouse.PRIVATE)
    assert warehouse.restore(folder) == folder / warehouse.PUBLISHED
    assert rows(folder, "from counts where dataset = 'later'")
    damage(folder / warehouse.PRIVATE)
    damage(folder / warehouse.PUBLISHED)
    assert warehouse.restore(folder) == backup
    assert everything(folder) == before
    with warehouse.write(folder) as con:
        con.execute("insert into counts values ('after', 'k', 1)")
    assert len(list(folder.glob("lm.duckdb.replaced-*"))) == 2  # nothing is deleted


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.95])
def test_a_cut_database_is_not_published_over_the_sound_copy(filled, share):
    folder, _ = filled
    private = folder / warehouse.PRIVATE
    before = (folder / warehouse.PUBLISHED).read_bytes()
    os.truncate(private, int(private.stat().st_size * share))
    with pytest.raises(WarehouseError, match="lmpipe warehouse restore"), warehouse.write(folder) as con:
        con.execute("insert into counts values ('later', 'k', 1)")
    assert (folder / warehouse.PUBLISHED).read_bytes() == before
    assert warehouse.restore(folder) == folder / warehouse.PUBLISHED


def test_a_flipped_bit_is_not_published_over_the_sound_copy(filled):
    """Neither by a process that saw the two files alike before: the disk flips a bit and leaves size and time."""
    folder, _ = filled
    private, published = folder / warehouse.PRIVATE, folder / warehouse.PUBLISHED
    whole = private.read_bytes()
    for place in range(0, len(whole), len(whole) // 12):
        private.write_bytes(whole)
        published.write_bytes(whole)
        with pytest.raises(ZeroDivisionError), warehouse.write(folder):
            raise ZeroDivisionError
        before = private.stat()
        private.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        os.utime(private, ns=(before.st_atime_ns, before.st_mtime_ns))
        with contextlib.suppress(WarehouseError), warehouse.write(folder) as con:
            con.execute("insert or ignore into counts values ('later', 'k', 1)")
        assert warehouse.verify(published)["trainings"] == 2


def test_restore_without_any_sound_file_says_rebuild(filled):
    folder, _ = filled
    damage(folder / warehouse.PRIVATE)
    damage(folder / warehouse.PUBLISHED)
    with pytest.raises(WarehouseError, match=r"found none: .*lm\.duckdb.*results\.duckdb.*lmpipe warehouse rebuild"):
        warehouse.restore(folder)


# Rebuild


def test_rebuild_gives_the_same_answers_to_everything(filled):
    folder, _ = filled
    before = everything(folder)
    done = warehouse.rebuild(folder)
    assert everything(folder) == before
    kept = {change.table: change.kept for change in done.tables if change.kept}
    assert kept == {"flow_runs": 1}
    assert (done.old, done.unreadable) == (folder / warehouse.PRIVATE, [])


def test_rebuild_from_folders_alone_lacks_only_what_they_cannot_know(filled):
    folder, _ = filled
    before = everything(folder)
    for path in folder.iterdir():
        path.unlink()
    done = warehouse.rebuild(folder)
    assert done.old is None
    assert everything(folder) == before | {"flow_runs": []}


def test_rebuild_keeps_what_was_deleted_since_and_names_what_is_broken(filled):
    folder, made = filled
    before = everything(folder)
    clean, evaluation = (next(m for m in made["datasets"] if m.stage == stage) for stage in ("clean", "evaluate"))
    (clean.folder / clean.shards[0].path).unlink()
    (evaluation.folder / "manifest.json").unlink()
    done = warehouse.rebuild(folder)
    assert everything(folder) == before
    assert len(done.unreadable) == 1
    assert str(clean.folder) in done.unreadable[0]
    kept = {change.table: change.kept for change in done.tables if change.kept}
    assert kept["evaluation_documents"] == 3
    assert kept["datasets"] == 2
    warehouse.rebuild(folder, folders_only=True)
    assert len(rows(folder, "from datasets")) == len(made["datasets"]) - 2


def test_rebuild_corrects_rows_that_differ_from_the_folders(filled):
    folder, _ = filled
    before = everything(folder)
    with warehouse.write(folder) as con:
        con.execute("update evaluation_documents set nats = 1; update trainings set parameters = 1")
        con.execute("delete from funnel")
    warehouse.rebuild(folder)
    assert everything(folder) == before


def test_the_commands_say_what_they_did(filled):
    folder, _ = filled
    data = ["--data", str(folder.parent)]

    def run(*arguments, code=0):
        done = CliRunner().invoke(app, ["warehouse", *arguments, *data])
        assert done.exit_code == code, done.output
        return done.stdout

    assert "lm-" in run("backup", "--keep", "3")
    assert "restored from" in run("restore").replace("\n", "")
    assert "kept rows are from" in run("rebuild").replace("\n", " ")
    assert re.search(r"\d+ checks, 0 found rows", run("check"))
    with warehouse.write(folder) as con:
        con.execute("insert into checkpoints values ('gone', 1, 'model', 'ff')")
    assert "checks, 1 found rows" in run("check", code=1)


# Documentation


@pytest.mark.parametrize("kind", ["views", "queries", "checks"])
def test_every_file_of_sql_begins_with_its_question_and_grain(kind):
    for path in migrate.sql_files(kind):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("-- question: "), path
        assert lines[1].startswith("-- grain: ") or lines[2].startswith("-- grain: "), path


def test_docs_tell_of_every_table_view_query_and_check(filled):
    names = {row["name"] for row in rows(filled[0], "select name from (show tables)")} - set(keep.BOOKKEEPING)
    entries = pages.entries()
    assert {entry.name for entry in entries if entry.kind in ("table", "view")} == names
    assert {entry.name for entry in entries if entry.kind == "query"} == {q.name for q in warehouse.saved_queries()}
    assert all(entry.grain for entry in entries)
    assert all(entry.question for entry in entries if entry.kind != "table")
    text, page = pages.markdown(), pages.html()
    assert "| dataset | VARCHAR | fingerprint of its manifest |" in text
    assert "| code | VARCHAR | sha256 over the sources of lmpipe, flows and warehouse |" in text
    assert "upstream(start)" in text
    assert page.count("<h3>") == len(entries)
