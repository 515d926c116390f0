"""Zips: read in memory, bounded by what really comes out of them."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.sources import archives
from lmpipe.sources.archives import Archive, ArchiveError


def zipped(members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def read(data: bytes) -> list[bytes]:
    with Archive.open(io.BytesIO(data)) as archive:
        return [archive.read(member) for member in archive.members]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_read_inflates_every_method(method: int) -> None:
    assert read(zipped({"a.txt": "words", "b.txt": "more"}, method)) == [b"words", b"more"]


def test_names_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a.zip").write_bytes(zipped({"../escape.txt": "x", "/etc/escape.txt": "y", "a/../b": "z"}))
    monkeypatch.chdir(tmp_path / "inside")
    with Archive.open(tmp_path / "inside" / "a.zip") as archive:
        assert [archive.read(member) for member in archive.members] == [b"x", b"y", b"z"]
        assert archive.find("../escape.txt") == b"x"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "inside"]


def test_a_bomb_is_refused_by_what_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped({"a.txt": b" " * (4 << 20)})
    with pytest.raises(ArchiveError, match="swells more than 200 times"):
        read(bomb)
    monkeypatch.setattr(archives, "MAX_RATIO", 10_000)
    assert len(read(bomb)[0]) == 4 << 20


def test_a_lying_directory_does_not_help_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1000)
    data = bytearray(zipped({"a.txt": b"0123456789" * 1000}))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # the size that both headers tell
        place = data.index(mark) + at
        data[place : place + 4] = (500).to_bytes(4, "little")
    with pytest.raises(ArchiveError):
        read(bytes(data))


def test_all_members_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 1500)
    with pytest.raises(ArchiveError, match="at most 1500 in one archive"):
        read(zipped({"a": b"a" * 1000, "b": b"b" * 1000}))


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(ArchiveError, match="at most 2 members, found 3"):
        read(zipped({"a": "", "b": "", "c": ""}))


def test_an_encrypted_member_is_refused() -> None:
    data = bytearray(zipped({"a.txt": "words"}))
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ArchiveError, match="encrypted"):
        read(bytes(data))


@pytest.mark.parametrize(
    ("codec", "name"), [("gb18030", "红楼梦/第一回.txt"), ("utf-8", "été/ça.txt"), ("big5", "紅樓夢/第一回.txt")]
)
def test_names_are_decoded_by_the_codec_they_show(codec: str, name: str) -> None:
    placeholder = "n" * len(name.encode(codec))
    data = zipped({placeholder: "words"}).replace(placeholder.encode(), name.encode(codec))
    with Archive.open(io.BytesIO(data)) as archive:
        assert archive.names == [name]
        assert archive.find(name) == b"words"


def test_a_member_that_is_not_there_is_said() -> None:
    with Archive.open(io.BytesIO(zipped({"a": "x"}))) as archive, pytest.raises(ArchiveError, match="'b', found none"):
        archive.find("b")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06", b"no zip at all"])
def test_what_is_no_zip_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="damaged"):
        Archive.open(io.BytesIO(data))


SAMPLE = zipped({"a.txt": b"words " * 50, "b/c.txt": b"more", "d.bin": bytes(range(200))})


@given(
    st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 60),
)
def test_any_damage_is_an_archive_error_or_harmless(edits: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(SAMPLE)
    for at, value in edits:
        data[at] = value
    try:
        with Archive.open(io.BytesIO(bytes(data[: len(data) - cut]))) as archive:
            for member, name in zip(archive.members, archive.names, strict=True):
                name.encode()
                try:
                    archive.read(member)
                except ArchiveError:
                    continue
    except ArchiveError:
        return
