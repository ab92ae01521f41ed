"""The operators' view: is everything well, whose trouble is it, and what does the database say."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from dashboard import addresses, cookies, operations, sessions
from dashboard.admission import OPERATOR, visit_of
from dashboard.operators import operating
from dashboard.reading import operator as reading
from dashboard.render import go, render, say
from gateway import audit
from gateway.errors import BadRequestError, NotFoundError
from kit.db import Connection

AnyRequest = Request[Any, Any, Any]
_EVERY = {operations.OVERVIEW: 3, operations.DATABASE: 5}
"""Seconds between two looks."""
_KEPT = 30  # seconds
_A_PAGE = 50
_SEARCH_MOST = 100  # characters


@get(operations.OVERVIEW, opt=OPERATOR)
async def show_operations(request: AnyRequest) -> Response[Any]:
    """What is wrong, the queue, and who works it off."""
    async with operating(request.app.state.gateway.database) as conn:
        queue = await reading.queue(conn)
        dispatchers = await reading.dispatchers(conn)
        found = await _database_findings(request.app.state, conn)
    findings = sorted([*operations.queue_findings(queue, dispatchers), *found], key=lambda one: one.tone)
    return render(
        request, "operator.html", queue=queue, dispatchers=dispatchers, findings=findings, kinds=operations.KINDS,
        ages={one.kind: one for one in queue.ages},
        live=[one for one in dispatchers if one.live], gone=[one for one in dispatchers if not one.live],
        place=operations.OVERVIEW,
    )  # fmt: skip


@get([f"{place}/live" for place in _EVERY], opt=OPERATOR)
async def follow(request: AnyRequest) -> Response[Any]:
    """These figures change all the time: a word every few seconds, to all who look."""
    place = request.scope["path"].rstrip("/").removesuffix("/live")

    async def ask() -> str:
        return str(time.time() // _EVERY[place])

    return request.app.state.live.stream(request, place, ask)  # type: ignore[no-any-return]


@get(operations.MERCHANTS, opt=OPERATOR)
async def show_merchants(request: AnyRequest) -> Response[Any]:
    """All merchants, or those whose name or id has `q` in it.

    Raises:
        BadRequestError: a cursor that is none.
    """
    query = request.query_params
    search, after = query.get("q", "").strip()[:_SEARCH_MOST], query.get("after")
    if after is not None and (len(after) > _SEARCH_MOST or not after.isascii() or not after.isprintable()):
        raise BadRequestError("The address of this page is not right.", reason="parameter_invalid")
    async with operating(request.app.state.gateway.database) as conn:
        found = await reading.merchants(conn, now=datetime.now(UTC), after=after, search=search or None, limit=_A_PAGE)
    return render(
        request, "operator_merchants.html", merchants=found.data, next=found.next, q=search, after=after,
        state=operations.state, place=operations.MERCHANTS,
    )  # fmt: skip


@get(operations.DATABASE, opt=OPERATOR)
async def show_database(request: AnyRequest) -> Response[Any]:
    """Statements, tables, partitions, migrations."""
    async with operating(request.app.state.gateway.database) as conn:
        statements = await reading.statements(conn)
        tables = await reading.tables(conn)
        partitions = await reading.partitions(conn)
        migrations = await reading.migrations(conn)
    histories = operations.histories(partitions)
    findings = operations.database_findings(tables, histories, statements.running, migrations, datetime.now(UTC))
    large, small = operations.by_size(tables)
    return render(
        request, "operator_database.html", statements=statements, large=large, small=small,
        histories=histories, migrations=migrations, findings=findings, size=operations.size, day=operations.day,
        place=operations.DATABASE,
    )  # fmt: skip


@post(f"{operations.MERCHANTS}/{{merchant_id:str}}/look", opt=OPERATOR)
async def look(request: AnyRequest, merchant_id: FromPath[str]) -> Response[Any]:
    """Show a merchant's pages, as a viewer sees them; the merchant's audit log says who looked.

    Raises:
        NotFoundError: there is none.
    """
    gateway, visit = request.app.state.gateway, visit_of(request)
    async with operating(gateway.database) as conn:
        found = await reading.place(conn, merchant_id)
    if found is None:
        raise NotFoundError("there is no such merchant")
    name = found.pop("name")
    async with gateway.database.transaction() as conn:
        await conn.execute(sessions.SQL["turn_session"], {"id": visit.me.id, "merchant_id": merchant_id})
        token = await sessions.renew(conn, visit.me)
        await audit.note(conn, found, visit.actor, "session.turned", visit.me.user_id or "", role="operator")
    say(request, f"You see {name} as a viewer does.", "info")
    response = go(request, addresses.HOME)
    response.cookies.append(cookies.session(gateway.config, token))
    return response


@post(f"{operations.OVERVIEW}/leave", opt=OPERATOR)
async def leave(request: AnyRequest) -> Response[Any]:
    """Look at no merchant any more."""
    gateway, visit = request.app.state.gateway, visit_of(request)
    async with gateway.database.transaction() as conn:
        await conn.execute(sessions.SQL["turn_session"], {"id": visit.me.id, "merchant_id": None})
        token = await sessions.renew(conn, visit.me)
        if visit.me.role is not None:
            await audit.note(conn, visit.merchant.scope, visit.actor, "session.left", visit.me.user_id or "")
    response = go(request, operations.MERCHANTS)
    response.cookies.append(cookies.session(gateway.config, token))
    return response


async def _database_findings(state: Any, conn: Connection) -> list[operations.Finding]:
    """What the page of the database says, of half a minute ago at most: nothing of it changes fast."""
    until, found = getattr(state, "database_findings", (0.0, []))
    if time.monotonic() < until:
        return list(found)
    statements = await reading.statements(conn)
    found = operations.database_findings(
        await reading.tables(conn),
        operations.histories(await reading.partitions(conn)),
        statements.running,
        await reading.migrations(conn),
        datetime.now(UTC),
    )
    state.database_findings = (time.monotonic() + _KEPT, found)
    return found


HANDLERS = (show_operations, follow, show_merchants, show_database, look, leave)
