"""Faults of the network: a dump from a local server that cuts, trickles, stalls and goes away."""

import bz2
import hashlib
import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.processes import tell
from flows.server import free_port
from tests.chaos.laboratory import Laboratory, Verdict
from tests.chaos.machine import POLL_SECONDS, Command, Done
from tests.sources.download.server import File, Server, serve

DATE, NAME = "20250101", "zhwiki-20250101-pages-articles-multistream.xml.bz2"
PATH, STATUS = f"/zhwiki/{DATE}/{NAME}", f"/zhwiki/{DATE}/dumpstatus.json"

RECIPE = """
name = "dump"
[[sources]]
kind = "wikipedia"
name = "wiki"
lang = "zh"
[sources.download]
wiki = "zhwiki"
date = "{date}"
site = "{site}"
http = {{ contact = "mail@example.org", requests_per_second = 1000, private = true, timeout = 2, retries = 2 }}
"""

TEXT = "".join(random.Random(1).choices("桥河船人山水天地", k=20_000))
BODY = bz2.compress(f"<mediawiki><page><title>桥</title><ns>0</ns><id>1</id>{TEXT}</page></mediawiki>".encode())
"""About 8 kB."""

SMALL = 2_000
"""Bytes after which a connection is cut, for instance."""

Trouble = Callable[["Fetch"], Done]
"""Make trouble, and fetch the dump in spite of it."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One dump that is fetched from one server into one data folder."""

    lab: Laboratory
    server: Server
    data: Path

    @property
    def file(self) -> File:
        """The dump, as the server has it."""
        return self.server.files[PATH]

    def start(self, site: str | None = None) -> Command:
        """Start to fetch it."""
        recipe = self.lab.folder / f"dump-{self.lab.next()}.toml"
        recipe.write_text(RECIPE.format(date=DATE, site=site or self.server.url))
        return self.lab.command(["lmpipe.cli", "download", str(recipe), "--data", str(self.data)])


def faults() -> dict[str, list[Callable[[Laboratory], Verdict]]]:
    """List all faults, by the name of what is broken."""
    named: dict[str, list[Trouble]] = {
        "network cut at download": [cut_often, cut_for_good, gone],
        "slow network at download": [slow, stalled],
        "kill -9 of download": [killed],
    }
    return {name: [partial(fetched, trouble=trouble) for trouble in troubles] for name, troubles in named.items()}


def fetched(lab: Laboratory, trouble: Trouble) -> Verdict:
    """Fetch a dump in spite of trouble, and once more without; the file must be the server's."""
    with serve(site()) as server:
        fetch = Fetch(lab, server, lab.fresh())
        first = trouble(fetch)
        fetch.file.drip = 0.0
        fetch.file.cuts.clear()
        last = fetch.start().finish()
    found = [path.read_bytes() for path in fetch.data.rglob(f"*{NAME}*")]
    if last.code != 0 or found != [BODY]:
        return Verdict("lost", f"{fetch.data}: {last.said}")
    if first.code in (0, -signal.SIGKILL):
        return Verdict("recovered")
    return Verdict("refused_clearly" if first.clear and server.url[:16] in first.said else "lost", first.said)


def site() -> dict[str, File | bytes]:
    """Lay out a dump site with one dump."""
    entry = {"size": len(BODY), "sha1": hashlib.sha1(BODY).hexdigest(), "url": PATH}
    jobs = {"articlesmultistreamdump": {"status": "done", "files": {NAME: entry}}}
    return {PATH: BODY, STATUS: json.dumps({"version": "0.8", "jobs": jobs}).encode()}


def cut_often(fetch: Fetch) -> Done:
    """Cut the connection three times, each a little further; nothing may be asked for twice."""
    fetch.file.cuts += [SMALL] * 3
    done = fetch.start().finish()
    asked = [request.headers.get("range") for request in fetch.server.asked(PATH)]
    once = asked == [None, *(f"bytes={SMALL * number}-" for number in (1, 2, 3))]
    return done if once else Done(1, f"bytes were asked for twice: {asked}", False)


def cut_for_good(fetch: Fetch) -> Done:
    """Cut the connection at the same byte each time."""
    fetch.file.cuts += [SMALL] + [0] * 20
    return fetch.start().finish()


def gone(fetch: Fetch) -> Done:
    """Ask where no server is."""
    return fetch.start(f"http://127.0.0.1:{free_port(0)}").finish()


def slow(fetch: Fetch) -> Done:
    """Let the bytes come one by one, some thousands a second."""
    fetch.file.drip = 0.0001
    return fetch.start().finish()


def stalled(fetch: Fetch) -> Done:
    """Let a byte of the list of files come every five seconds, with which no answer is ever whole."""
    listing = fetch.server.files[STATUS]
    listing.drip = 5.0
    done = fetch.start().finish()
    listing.drip = 0.0
    return done


def killed(fetch: Fetch) -> Done:
    """Kill the download with -9 in the middle of the file; the next one goes on there."""
    fetch.file.drip = 0.001
    command = fetch.start()
    while command.alive and not any(path.stat().st_size > 100 for path in fetch.data.rglob("*.part")):
        time.sleep(POLL_SECONDS)
    tell([command.process.pid], signal.SIGKILL)
    return command.finish()
