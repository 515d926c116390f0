"""Tidings: events that we tell the server of, for its automations."""

from pathlib import Path

from prefect.events import emit_event

CHECKPOINT_SAVED = "lmpipe.checkpoint.saved"
PERPLEXITY_WORSE = "lmpipe.perplexity.worse"


def tell_of_checkpoint(recipe: Path, data: Path, run: Path, step: int) -> None:
    """Say that a training has saved a checkpoint."""
    payload = {"recipe": str(recipe), "data": str(data), "run": str(run), "step": step}
    emit_event(event=CHECKPOINT_SAVED, resource=resource(run), payload=payload)


def tell_of_worse(run: Path, sentence: str) -> None:
    """Say that a model is surely worse than the last of its name."""
    emit_event(event=PERPLEXITY_WORSE, resource=resource(run), payload={"sentence": sentence})


def resource(run: Path) -> dict[str, str]:
    """Name a run directory as what an event is about."""
    return {"prefect.resource.id": f"lmpipe.run.{run.name}", "prefect.resource.name": run.name}
