"""Prefect's command line with one change, for a server whose runs are in SQLite: its writers wait for each other.

    python -m flows.patched_prefect server start ...

Prefect 3.8.8 begins a transaction that will write as one that reads. Of two side by side one finds the database locked
at its first write, however long it would have waited. The cursor that such a failure leaves behind is freed by the
garbage collector, which waits for SQLite's mutex without letting go of Python: while a writer of the same connection
waits for its lock, the whole server stands still for a minute. Asked for a hundred runs due at once, it did not even
take them. A transaction that asks for its lock when it begins waits its turn.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.cli import app
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

begin = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def begin_to_write(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    """Begin by BEGIN IMMEDIATE, as Prefect does where it says that it will update what it reads."""
    async with begin(self, session, with_for_update=True) as transaction:
        yield transaction


AioSqliteConfiguration.begin_transaction = begin_to_write  # type: ignore[method-assign]  # that is what this is for

if __name__ == "__main__":
    app()
