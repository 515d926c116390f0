"""Automations: what the server does by itself when something happens, or does not.

`lmpipe deploy` makes them, by name; made again, they are replaced.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from pydantic import SecretStr

from flows.operate import HEARTBEAT_SECONDS
from flows.tidings import CHECKPOINT_SAVED, PERPLEXITY_WORSE

ZOMBIE_SECONDS = 4 * HEARTBEAT_SECONDS
"""A run that gave no sign of life for so long is dead: four heartbeats, since one may come late on a busy machine."""

ENDED_BADLY = {"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"}
ENDED = {"prefect.flow-run.Completed", "prefect.flow-run.Cancelled"} | ENDED_BADLY

FAILURE = "{{ flow_run.name }} is {{ flow_run.state.name }}: {{ flow_run.state.message }}"
"""The sentence of the error says what to do; it comes along as it is."""
WORSE = "{{ event.payload.sentence }}"

WEBHOOK = "lmpipe-notices"
"""Name of the block that holds the webhook's address, a secret for many services."""


def make_automations(webhook: str | None, mail_to: str | None) -> list[str]:
    """Make or replace all automations; return their names."""
    with get_client(sync_client=True) as client:
        made = [close_zombies(), evaluate_checkpoints(deployment(client, "evaluate/on-checkpoint"))]
        if webhook is not None:
            made += post_notices(save_webhook(webhook))
        if mail_to is not None:
            made += mail_notices(deployment(client, "mail/mail"), mail_to)
        for automation in made:
            for old in client.read_automations_by_name(automation.name):
                client.delete_automation(old.id)
            client.create_automation(automation)
    return [automation.name for automation in made]


def deployment(client: SyncPrefectClient, name: str) -> UUID:
    """Find the id of a deployment of prefect.yaml."""
    return client.read_deployment_by_name(name).id


def close_zombies() -> AutomationCore:
    """Mark a run crashed whose heartbeats have stopped: it, its worker or its machine was killed."""
    trigger = EventTrigger(
        match=resources("prefect.flow-run.*"),
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat"} | ENDED,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=ZOMBIE_SECONDS),
    )
    message = f"No sign of life for {ZOMBIE_SECONDS} s. Run it again: what is finished is not done twice."
    action = ChangeFlowRunState(name=None, state=StateType.CRASHED, message=message, force=False)
    description = "A run without heartbeats is marked as crashed, so that it holds no place for ever."
    return AutomationCore(name="lmpipe: close zombies", description=description, trigger=trigger, actions=[action])


def evaluate_checkpoints(to_run: UUID) -> AutomationCore:
    """Score what a training has saved."""
    fields = {name: {"__prefect_kind": "jinja", "template": f"{{{{ event.payload.{name} }}}}"} for name in RUN_FIELDS}
    return AutomationCore(
        name="lmpipe: evaluate checkpoints",
        description="A checkpoint that a training tells of is evaluated on the pool cpu, while the training goes on.",
        trigger=EventTrigger(match=resources("lmpipe.run.*"), expect={CHECKPOINT_SAVED}, threshold=1),
        actions=[running(to_run, fields)],
    )


def running(deployment: UUID, parameters: dict[str, Any]) -> RunDeployment:
    """Run a deployment."""
    return RunDeployment(source="selected", deployment_id=deployment, parameters=parameters, job_variables=None)


RUN_FIELDS = ("recipe", "data", "run")
"""Parameters of an evaluation that the event brings."""


def resources(pattern: str) -> ResourceSpecification:
    """Match what an event is about."""
    return ResourceSpecification.model_validate({"prefect.resource.id": pattern})


def failures() -> EventTrigger:
    """Fire for each deployed run that fails; the runs below it fail with it and are not told of again."""
    deployed = {"prefect.resource.role": "deployment", "prefect.resource.id": "prefect.deployment.*"}
    no_mail = {
        "prefect.resource.role": "flow",
        "prefect.resource.name": "!mail",
    }  # else its failure is mailed, for ever
    return EventTrigger(
        match=resources("prefect.flow-run.*"),
        match_related=[ResourceSpecification.model_validate(labels) for labels in (deployed, no_mail)],
        expect=ENDED_BADLY,
        for_each={"prefect.resource.id"},
        threshold=1,
    )


def worse() -> EventTrigger:
    """Fire when a model is surely worse than the last of its name."""
    return EventTrigger(match=resources("lmpipe.run.*"), expect={PERPLEXITY_WORSE}, threshold=1)


def save_webhook(url: str) -> UUID:
    """Keep the address of the webhook as a block, where logs and manifests do not see it."""
    block = Webhook(method="POST", url=SecretStr(url))
    return UUID(str(block.save(WEBHOOK, overwrite=True)))


def post_notices(block: UUID) -> list[AutomationCore]:
    """Post {"text": sentence}, which Slack, Mattermost and Discord's /slack understand."""
    return [
        AutomationCore(
            name=f"lmpipe: post {what}",
            trigger=trigger,
            actions=[CallWebhook(block_document_id=block, payload='{"text": ' + as_json(text) + "}")],
        )
        for what, trigger, text in notices()
    ]


def mail_notices(to_run: UUID, mail_to: str) -> list[AutomationCore]:
    """Mail the same sentences, by the flow `mail`."""
    return [
        AutomationCore(
            name=f"lmpipe: mail {what}",
            trigger=trigger,
            actions=[
                running(to_run, {"to": mail_to, "text": {"__prefect_kind": "jinja", "template": text}}),
            ],
        )
        for what, trigger, text in notices()
    ]


def notices() -> list[tuple[str, EventTrigger, str]]:
    """List what people are told of."""
    return [("failures", failures(), FAILURE), ("worse perplexities", worse(), WORSE)]


def as_json(text: str) -> str:
    """Make a template whose result is a JSON string, whatever stands in it."""
    return "{% set text %}" + text + "{% endset %}{{ text | string | tojson }}"
