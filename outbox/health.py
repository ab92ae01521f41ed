"""The health of endpoints: what is known of those in trouble, and the circuit that spares them.

An endpoint that works has no row. Its failures are counted, and a success forgets them, in the statement that settles
attempts (`deliveries.settle`). After so many failures in a row the circuit opens: nothing is sent until a time that
doubles with each trip; then it is half open, and one probe, over all dispatchers, decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kit.db import fetch
from outbox import SQL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.db import Connection
    from outbox.work import Work


async def begin_probes(conn: Connection, works: Sequence[Work], *, dispatcher: str, lease: float) -> set[str]:
    """Win the single probe of each half-open circuit; returns the ids of the works that may be sent.

    Of several works of one endpoint the first may win. A circuit that is open or closed, and one that is being probed,
    gives none. A probe of which nothing is heard for `lease` seconds may be won again.
    """
    batch = [
        {"n": n, "bucket": w.bucket, "merchant_id": w.merchant_id, "endpoint_id": w.endpoint_id, "work_id": w.id}
        for n, w in enumerate(works)
    ]
    values = {"batch": msgspec.json.encode(batch).decode(), "dispatcher": dispatcher, "lease": lease}
    return {row["work_id"] for row in await fetch(conn, SQL["begin_probes"], values)}
