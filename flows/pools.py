"""Work pools, workers and runs as the server knows them."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed
from prefect.workers.process import ProcessWorker

WORKER_SECONDS = 240.0
"""A worker polls after some 6 s here; on a loaded machine later."""

PENDING_MINUTES = 10
"""A run that is pending for longer has lost its worker before its process began, and would hold its place for ever."""

OPEN = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
"""States of runs that should have a process."""

GONE = "its process is gone (killed, or the machine went down). Run it again: what is finished is not done twice."


def make_pools(pools: Mapping[str, int | None]) -> None:
    """Make the work pools that are missing and set their limits."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        for name, limit in pools.items():
            with contextlib.suppress(ObjectAlreadyExists):
                client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
            client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=limit))


def wait_for_worker(pool: str, name: str, process: Callable[[], int | None]) -> bool:
    """Wait until a worker has polled lately; False when it ended, or did not come."""
    deadline = time.monotonic() + WORKER_SECONDS
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline and process() is not None:
            workers = client.read_workers_for_work_pool(pool)
            if any(worker.name == name and worker.status == "ONLINE" for worker in workers):
                return True
            time.sleep(0.5)
    return False


def close_dead_runs(living: Iterable[str], mine: Iterable[str]) -> list[str]:
    """Mark runs that have no process any more as crashed; return their names.

    Prefect itself leaves them running for ever when worker and run end together, as at a power cut (its #16746).
    `living` are the runs that have a process here, `mine` the workers of this machine. A run does not say where it
    runs: with workers elsewhere nothing is closed here, and the automation for zombies does it after a while.
    """
    known = set(living)
    with get_client(sync_client=True) as client:
        if others_work(client, set(mine)):
            return []
        candidates = [run for run in open_runs(client) if str(run.id) not in known]
        dead, closed = [run for run in candidates if lost(run)], list[FlowRun]()
        while dead:
            for run in dead:
                client.set_flow_run_state(run.id, Crashed(message=GONE), force=True)
                known.add(str(run.id))
            closed += dead
            dead = [run for run in open_runs(client) if str(run.id) not in known and below_a_closed_one(client, run)]
    return [run.name for run in closed]


def others_work(client: SyncPrefectClient, mine: set[str]) -> bool:
    """Say whether a worker of another machine polls our pools."""
    pools = [pool.name for pool in client.read_work_pools()]
    workers = [worker for pool in pools for worker in client.read_workers_for_work_pool(pool)]
    return any(worker.name not in mine and worker.status == "ONLINE" for worker in workers)


def open_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """List the runs that should have a process."""
    states = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(OPEN)))
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=states), limit=200)


def lost(run: FlowRun) -> bool:
    """Say whether a run without process had one, or is waiting for it for too long."""
    assert run.state is not None, "runs are asked for by their state"
    if run.infrastructure_pid is not None:
        return True
    waiting = run.state.type == StateType.PENDING and run.work_pool_name is not None
    return waiting and datetime.now(UTC) - run.state.timestamp > timedelta(minutes=PENDING_MINUTES)


def below_a_closed_one(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Say whether a run is a part of one that has ended: it lived in the same process."""
    if run.parent_task_run_id is None or run.deployment_id is not None:
        return False
    parent = client.read_task_run(run.parent_task_run_id).flow_run_id
    state = client.read_flow_run(parent).state if parent is not None else None
    return state is not None and state.is_final()
