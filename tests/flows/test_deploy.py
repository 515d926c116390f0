"""What is deployed: prefect.yaml fits the flows, notices say the sentence, secrets stay secret."""

import importlib
import json
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.sandbox import SandboxedEnvironment
from prefect import Flow

from flows import automations, operate
from flows.notices import send_mail
from lmpipe.errors import LmpipeError
from tests.conftest import ROOT

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    path, name = deployment["entrypoint"].split(":")
    found = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert isinstance(found, Flow)
    return found


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_each_deployment_names_a_flow_and_parameters_that_it_has(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    known = flow.parameters.properties
    assert set(deployment.get("parameters", {})) <= set(known)
    missing = set(flow.parameters.required) - set(deployment.get("parameters", {}))
    assert missing <= {"tokens", "name", "run", "to", "text"}  # given by who starts it
    assert deployment["work_pool"]["name"] in operate.POOLS


@pytest.mark.parametrize("deployment", [d for d in DEPLOYMENTS if "schedules" in d], ids=lambda d: d["name"])
def test_each_schedule_says_time_zone_and_overlap(deployment: dict[str, Any]) -> None:
    (schedule,) = deployment["schedules"]
    assert schedule["timezone"] == "UTC"
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


def test_parameters_are_typed_fields_of_a_form() -> None:
    fields = flow_of(next(d for d in DEPLOYMENTS if d["name"] == "train-weekly")).parameters.properties
    assert fields["workers"]["minimum"] == 1
    assert fields["where"]["enum"] == ["here", "gpu"]
    assert fields["append"]["type"] == "boolean"
    assert "the recipe's TOML file" in fields["recipe"]["description"]


def test_the_zombie_window_is_some_heartbeats_long() -> None:
    """Prefect's documentation pairs a window of 90 s with heartbeats of 180 s: healthy runs were called crashed."""
    trigger = automations.close_zombies().trigger
    assert trigger.within.total_seconds() >= 3 * operate.HEARTBEAT_SECONDS  # type: ignore[union-attr]


def test_a_notice_is_json_whatever_the_sentence_holds() -> None:
    template = '{"text": ' + automations.as_json("{{ said }}") + "}"
    for said in ('a "quoted" <script>\nsecond line \\ 中文', "{{ 1 }}"):
        body = SandboxedEnvironment().from_string(template).render(said=said)
        assert json.loads(body)["text"] == said


class Mailbox:
    """A mail server on loopback that takes one mail."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.lines: list[str] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.socket.accept()
        with connection, connection.makefile("rwb", 0) as stream:
            stream.write(b"220 here\r\n")
            for raw in stream:
                line = raw.decode().rstrip("\r\n")
                self.lines.append(line)
                answer = {"data": b"354 go\r\n", "QUIT": b"221 bye\r\n"}.get(line, b"250 ok\r\n")
                if "data" not in self.lines or line in ("data", ".", "QUIT"):
                    stream.write(answer)
        self.socket.close()


def test_mail_reaches_a_server_with_the_sentence() -> None:
    box = Mailbox()
    port = box.socket.getsockname()[1]
    send_mail(f"smtp://127.0.0.1:{port}", "ops@example.org", "train demo is Failed:\nfree some disk")
    box.thread.join(10)
    assert "rcpt TO:<ops@example.org>" in box.lines
    assert "Subject: lmpipe: train demo is Failed: free some disk" in box.lines
    assert "free some disk" in box.lines


def test_the_password_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = operate.read_or_make_password(tmp_path / "auth")
    assert operate.read_or_make_password(tmp_path / "auth") == first
    assert len(first) > 30
    assert stat.S_IMODE((tmp_path / "auth").stat().st_mode) == 0o600


def test_all_parts_run_without_telemetry_and_with_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "of-the-cloud")
    (tmp_path / "up").mkdir()
    (tmp_path / "up/url").write_text("http://127.0.0.1:4200/api")
    environment = operate.part_environment(tmp_path)
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == environment["PREFECT_API_AUTH_STRING"]
    assert environment["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "false"
    assert "PREFECT_API_KEY" not in environment  # it would win over the password, and fail


def test_a_database_that_is_no_postgresql_is_refused_without_its_password() -> None:
    with pytest.raises(LmpipeError, match=r"expected postgresql\+asyncpg") as caught:
        operate.checked_database("mysql://root:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


def test_an_operation_on_postgresql_does_not_start_on_an_empty_sqlite(tmp_path: Path) -> None:
    operate.database_environment(tmp_path / "mark", "postgresql+asyncpg://lmpipe:hunter2@127.0.0.1/prefect")
    assert (tmp_path / "mark").read_text() == ""
    with pytest.raises(LmpipeError, match=r"in PostgreSQL.* again by --database"):
        operate.database_environment(tmp_path / "mark", None)
    assert operate.database_environment(tmp_path / "other", None) == {}


def test_without_a_server_deploy_says_what_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(os.environ, "PREFECT_API_URL", raising=False)
    with pytest.raises(LmpipeError, match="lmpipe up --data"):
        operate.join(tmp_path)


def test_down_where_nothing_was_started_is_no_error(tmp_path: Path) -> None:
    told: list[str] = []
    operate.down(tmp_path, told.append)
    assert told == ["nothing was started here"]
