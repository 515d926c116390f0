"""The hub, by a real server on loopback in its layout: a model comes at one commit, whole, checked, and once."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apply.runs import SMALL_GPT2, random_run
from sources.download.server import File, Server, serve
from typer.testing import CliRunner

from lmpipe import warehouse
from lmpipe.apply.exporting import export_run
from lmpipe.apply.generate import open_model
from lmpipe.apply.importing import import_model
from lmpipe.cli import app
from lmpipe.dataset import input_folders, open_dataset
from lmpipe.errors import DownloadError, InputError
from lmpipe.settings import HttpSettings
from lmpipe.sources.download.hub import Hub
from lmpipe.train.run import load_run

COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
API = "/api/models/owner/tiny/revision/{}?blobs=true"
RESOLVE = f"/owner/tiny/resolve/{COMMIT}/"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a GPT-2 of ours."""
    folder = tmp_path_factory.mktemp("model")
    export_run(random_run(folder / "own", SMALL_GPT2), folder / "hf")
    return {path.name: path.read_bytes() for path in (folder / "hf").iterdir()}


def hub_at(server: Server) -> Hub:
    """The server as a hub that need not be spared."""
    http = HttpSettings(contact="test", private=True, requests_per_second=1000.0, retries=1)
    return Hub(endpoint=server.url, http=http)


def listing(files: Files, **changes: object) -> bytes:
    """What the hub says of a commit; it gives sha256 of large files alone."""
    siblings = [
        {"rfilename": name, "size": len(body)}
        | ({"lfs": {"sha256": hashlib.sha256(body).hexdigest()}} if name.endswith("tensors") else {})
        for name, body in files.items()
    ]
    facts = {"id": "owner/tiny", "sha": COMMIT, "siblings": siblings, "config": {"model_type": "gpt2"}}
    return json.dumps(facts | changes).encode()


def layout(files: Files, **changes: object) -> dict[str, File | bytes]:
    """The hub's paths; weights lie behind a redirect, as on its storage."""
    pages: dict[str, File | bytes] = {API.format(name): listing(files, **changes) for name in ("main", COMMIT)}
    for name, body in files.items():
        pages[RESOLVE + name] = File(body)
        if name.endswith("tensors"):
            pages[RESOLVE + name] = File(status=302, headers={"Location": f"/storage/{name}"})
            pages[f"/storage/{name}"] = File(body)
    return pages


def logits_of(run: Path) -> list[float]:
    scorer = open_model(run).scorer
    found: list[float] = scorer.score([[5, 9, 250, 7]])[0].tolist()
    return found


def test_a_model_of_the_hub_is_the_folders_and_its_commit_is_recorded(tmp_path: Path, model: Files) -> None:
    (tmp_path / "folder").mkdir()
    for name, body in model.items():
        (tmp_path / "folder" / name).write_bytes(body)
    with serve(layout(model)) as server:
        run = import_model("owner/tiny", tmp_path, hub=hub_at(server))
    assert logits_of(run) == logits_of(import_model(str(tmp_path / "folder"), tmp_path))
    (imported,) = input_folders_of(run)
    (fetched,) = map(open_dataset, input_folders(open_dataset(imported)))
    assert fetched.settings == {"repository": "owner/tiny", "revision": COMMIT}
    assert {shard.path for shard in fetched.shards} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert run.name.startswith("tiny-")


def test_a_download_can_be_recorded_though_small_files_have_no_sha256(tmp_path: Path, model: Files) -> None:
    with serve(layout(model)) as server:
        import_model("owner/tiny", tmp_path, hub=hub_at(server))
    (folder,) = (path.parent for path in (tmp_path / "download").glob("*/manifest.json"))
    warehouse.record_dataset(tmp_path / "warehouse", folder)
    sql = "select name from dataset_inputs where kind = 'file'"
    assert [row["name"] for row in warehouse.query(tmp_path / "warehouse", sql).to_pylist()] == ["model.safetensors"]


def input_folders_of(run: Path) -> Iterator[Path]:
    tokens = load_run(run).tokens
    yield run.parent.parent / tokens["stage"] / f"{tokens['name']}-{tokens['fingerprint'][:8]}"


def test_the_command_asks_the_server_of_hf_endpoint(
    tmp_path: Path, model: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(layout(model)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        done = CliRunner().invoke(app, ["import", "owner/tiny", "--data", str(tmp_path), "--name", "mine"])
    assert done.exit_code == 0, done.output
    assert load_run(Path(done.output.strip())).name == "mine"


def test_a_commit_that_is_here_is_not_asked_for_again(tmp_path: Path, model: Files) -> None:
    with serve(layout(model)) as server:
        run = import_model("owner/tiny", tmp_path, revision=COMMIT, hub=hub_at(server))
        before = len(server.requests)
        assert import_model("owner/tiny", tmp_path, revision=COMMIT, hub=hub_at(server)) == run
        assert len(server.requests) == before
    assert import_model("owner/tiny", tmp_path, revision=COMMIT, hub=hub_at(server)) == run


def test_a_cut_transfer_goes_on_in_the_next_call(tmp_path: Path, model: Files) -> None:
    pages = layout(model)
    pages["/storage/model.safetensors"] = File(model["model.safetensors"], cuts=[1000, 0, 0])
    with serve(pages) as server:
        with pytest.raises(DownloadError, match="1000 bytes came, then nothing"):
            import_model("owner/tiny", tmp_path, hub=hub_at(server))
        import_model("owner/tiny", tmp_path, hub=hub_at(server))
        assert server.asked("/storage/model.safetensors")[-1].headers["range"] == "bytes=1000-"
        assert len(server.asked(RESOLVE + "config.json")) == 1, "what was whole is not fetched again"


def test_weights_in_pieces_are_fetched_by_their_index(tmp_path: Path, model: Files) -> None:
    index = json.dumps({"weight_map": {"x": "model-00001-of-00001.safetensors"}}).encode()
    pieces = {"model-00001-of-00001.safetensors": model["model.safetensors"], "model.safetensors.index.json": index}
    others = {"pytorch_model.bin": b"code", "model-fp16.safetensors": b"x"}
    with serve(layout(model | pieces | others)) as server:
        run = import_model("owner/tiny", tmp_path, hub=hub_at(server))
        assert not server.asked("/storage/model.safetensors")
        assert not server.asked(RESOLVE + "pytorch_model.bin")
    assert logits_of(run)


def without(name: str) -> Callable[[Files], Files]:
    return lambda files: {other: body for other, body in files.items() if other != name}


REFUSED: list[tuple[Callable[[Files], Files], dict[str, object], str]] = [
    (without("config.json"), {}, r"\['config.json'\] not there, so this is no whole model"),
    (without("tokenizer.json"), {}, r"\['tokenizer.json'\] not there"),
    (without("model.safetensors"), {}, r"\['model.safetensors'\] not there"),
    (
        lambda files: without("model.safetensors")(files) | {"pytorch_model.bin": b"code"},
        {},
        "pickled weights only, which could run code and are not read",
    ),
    (dict, {"config": {"model_type": "llama"}}, "expected model_type gpt2, found 'llama'"),
]


@pytest.mark.parametrize(("change", "facts", "message"), REFUSED)
def test_what_is_no_gpt2_is_refused_before_a_file_is_fetched(
    tmp_path: Path, model: Files, change: Callable[[Files], Files], facts: dict[str, object], message: str
) -> None:
    with serve(layout(change(model), **facts)) as server:
        with pytest.raises(InputError, match=message):
            import_model("owner/tiny", tmp_path, hub=hub_at(server))
        assert len(server.requests) == 1


def test_a_model_that_the_hub_does_not_have_is_named(tmp_path: Path) -> None:
    pages: dict[str, File | bytes] = {"/api/models/gone/revision/main?blobs=true": File(b"{}", status=401)}
    with serve(pages) as server:
        with pytest.raises(InputError, match=r"gone at 'main': the hub has no such public model.*and no folder"):
            import_model("gone", tmp_path, hub=hub_at(server))
        with pytest.raises(InputError, match="at 'v9': the hub has no such public model or revision"):
            import_model("owner/tiny", tmp_path, revision="v9", hub=hub_at(server))


@pytest.mark.parametrize("name", ["../gpt2", "/models/gpt2", "a/b/c", "owner/.."])
def test_what_cannot_be_a_model_is_not_asked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such folder, and no name of a model"):
        import_model(name, tmp_path)


def test_a_hub_that_is_not_there_is_told(tmp_path: Path) -> None:
    with serve({}) as server:
        gone = hub_at(server)
    with pytest.raises(DownloadError, match=r"/api/models/gpt2.*: no answer after 2 attempts.*Try again later"):
        import_model("gpt2", tmp_path, hub=gone)


def test_weights_that_are_not_those_of_the_listing_are_refused(tmp_path: Path, model: Files) -> None:
    pages = layout(model)
    pages["/storage/model.safetensors"] = File(bytes(len(model["model.safetensors"])))
    with serve(pages) as server, pytest.raises(DownloadError, match="expected sha256"):
        import_model("owner/tiny", tmp_path, hub=hub_at(server))


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (b"<html>", "expected the hub's listing"),
        (b'{"sha": "main", "siblings": []}', "expected a commit, found 'main'"),
    ],
)
def test_an_answer_that_is_no_listing_is_told(tmp_path: Path, listing: bytes, message: str) -> None:
    with serve({API.format("main"): listing}) as server, pytest.raises(DownloadError, match=message):
        import_model("owner/tiny", tmp_path, hub=hub_at(server))
