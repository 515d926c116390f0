"""Kill -9 at random moments, until the recipe completes in spite of it, and compare."""

import shutil

from tests.chaos.laboratory import Laboratory, Verdict, Verdicts
from tests.chaos.machine import AGE, HUNG, Done, Victim, kill_one

VICTIMS: tuple[Victim, ...] = tuple(AGE)

BEGINNINGS = (None, "ingest", "split", "tokens")
"""Stages to whose end the undisturbed run is copied before a lap, so that its later half is hit as often."""

LATEST = 0.5
"""Share of the time of a whole run after which no kill is aimed: a run that goes on has less to do."""

SENTENCES: dict[Victim, str] = {"worker": "a worker process was killed", "training": "was killed by signal 9"}
"""What a run says of a part that was killed below it; nobody can speak for itself."""


def kill(lab: Laboratory, number: int, verdicts: Verdicts) -> None:
    """Kill so many processes; enter the verdict on each, by what was killed."""
    verdicts.update({f"kill -9 of {victim}": [] for victim in VICTIMS})
    while (left := number - sum(map(len, verdicts.values()))) > 0:
        for victim, verdict in lap(lab, left):
            verdicts[f"kill -9 of {victim}"].append(verdict)


def may_end_so(victim: Victim, done: Done) -> bool:
    """Say whether a run may end like that: whole, or killed itself, or telling of its part; but it may not hang."""
    return done.code == 0 or (done.code != HUNG and SENTENCES.get(victim, "") in done.said)


def lap(lab: Laboratory, most: int) -> list[tuple[Victim, Verdict]]:
    """Run the recipe on one data folder, again and again, killing each time until a run gets through; judge all."""
    data = lab.half(lab.chance.choice(BEGINNINGS))
    victims: list[Victim] = []
    unclear: list[str] = []
    done: Done | None = None
    while len(victims) < most and (done is None or done.code != 0):
        victim = lab.chance.choice(VICTIMS)
        command = lab.start(data)
        if kill_one(command, victim, lab.server, lab.chance.uniform(0, LATEST * lab.seconds), lab.chance):
            victims.append(victim)
        if not lab.server.command.alive:
            lab.server.start()
        done = command.finish()
        if not may_end_so(victim, done):
            unclear.append(f"after kill -9 of {victim}: {done.said}")
    wrong = lab.mended(data, done) or "; ".join(unclear)
    print(f"killed {', '.join(victims) or 'none in time'}: {wrong or 'recovered'}", flush=True)
    if not wrong:
        shutil.rmtree(data)
    return [(victim, Verdict("lost", f"{data}: {wrong}") if wrong else Verdict("recovered")) for victim in victims]
