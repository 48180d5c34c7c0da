"""Runs a test on both event loops: the server uses uvloop, and asyncio's may not differ."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable

import pytest
import uvloop

_LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Turn an async test into one for each loop, where no task and no complaint may be left."""

    async def body(**arguments: object) -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: complaints.append(context)
        )
        await test(**arguments)
        assert asyncio.all_tasks() == {asyncio.current_task()}, asyncio.all_tasks()
        assert complaints == [], complaints

    @functools.wraps(test)
    def run(loop: str, **arguments: object) -> None:
        with asyncio.Runner(loop_factory=_LOOPS[loop]) as runner:
            runner.run(body(**arguments))

    signature = inspect.signature(test)
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), loop]
    )
    both: Callable[..., None] = pytest.mark.parametrize("loop", _LOOPS)(run)
    return both
