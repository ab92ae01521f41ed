"""The merchants of a fresh start in test mode: the quick start's, and the demo shop's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psycopg

from gateway import users
from gateway.merchants import add_key, add_merchant, bucket_of
from gateway.secrets import make_sealer
from kit.config import ConfigError
from outbox import endpoints

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.users import Role
    from kit.db import Connection

MERCHANT_ID = "mer_demo"
KEY_ID = "key_test_abc123"
SECRET = "secret_test_xyz789"  # noqa: S105 - public, and refused outside of test mode
WEBHOOK_SECRET = "whsec_test_abc123"  # noqa: S105
ORDER_IDS = ("order_test_123", "order_123")
AMOUNT = 50000
PASSWORD = "ledgate-demo"  # noqa: S105 - public, and shown on the sign-in page in test mode


class DemoUser(NamedTuple):
    """A user of the dashboard that a fresh start has."""

    email: str
    name: str
    role: Role | None
    operator: bool = False


USERS = (
    DemoUser("demo@ledgate.test", "Asha Rao", "owner"),
    DemoUser("viewer@ledgate.test", "Vikram Nair", "viewer"),
    DemoUser("operator@ledgate.test", "Olu Adeyemi", None, operator=True),
)
# Of PASSWORD, made once: a start is not a twentieth of a second slower for each user.
_PASSWORD_HASH = "$argon2id$v=19$m=65536,t=3,p=1$WrAsT+s5Sank8/wj7g2NUQ$urkgx5kY+YzZugPEpratBUtkAwuY2aziKNm5mMFYmEA"  # noqa: S105

SHOP_ID = "mer_demo_shop"
SHOP_KEY_ID = "key_test_shop123"
SHOP_SECRET = "secret_test_shop789"  # noqa: S105


async def seed(database_url: str, config: Config) -> None:
    """Make the demo merchant, as often as one likes.

    Raises:
        ConfigError: outside of test mode: its credentials are public.
    """
    _refuse_in_earnest(config)
    sealer = make_sealer(config)
    bucket = bucket_of(MERCHANT_ID)
    async with await psycopg.AsyncConnection.connect(database_url, connect_timeout=10) as conn:
        await add_merchant(conn, "Ledgate Demo", merchant_id=MERCHANT_ID)
        await add_key(conn, MERCHANT_ID, name="Quick start", key_id=KEY_ID, secret=SECRET)
        await endpoints.save_default(
            conn,
            sealer,
            bucket=bucket,
            merchant_id=MERCHANT_ID,
            url=config.test_merchant_url or f"http://localhost:{config.test_merchant_port}/webhook",
            secret=WEBHOOK_SECRET,
        )
        for order_id in ORDER_IDS:
            await conn.execute(
                "INSERT INTO orders (bucket, merchant_id, id, amount, currency, reusable, created_at, updated_at)"
                " VALUES (%s, %s, %s, %s, 'INR', true, statement_timestamp(), statement_timestamp())"
                " ON CONFLICT DO NOTHING",
                [bucket, MERCHANT_ID, order_id, AMOUNT],
            )
        for one in USERS:
            await _add_user(conn, one)


async def _add_user(conn: Connection, wanted: DemoUser) -> None:
    if await users.find(conn, wanted.email) is not None:
        return  # whatever became of them is not undone
    user_id = await users.add(conn, email=wanted.email, name=wanted.name)
    await users.set_password(conn, user_id, _PASSWORD_HASH)
    if wanted.operator:
        await users.set_operator(conn, user_id, operator=True)
    if wanted.role is not None:
        await users.grant(conn, MERCHANT_ID, user_id, wanted.role)


async def seed_shop(database_url: str, config: Config) -> None:
    """Make the demo shop's merchant, as often as one likes. Its orders and its endpoint are the shop's own doing.

    A merchant of its own: what the quick start says of the first one's payments and webhooks is true whether a shop
    runs beside it or not, and an endpoint that a shop leaves behind fails for nobody else.

    Raises:
        ConfigError: outside of test mode: its credentials are public.
    """
    _refuse_in_earnest(config)
    async with await psycopg.AsyncConnection.connect(database_url, connect_timeout=10) as conn:
        await add_merchant(conn, "Chai Patti", merchant_id=SHOP_ID)
        await add_key(conn, SHOP_ID, name="Shop", key_id=SHOP_KEY_ID, secret=SHOP_SECRET)
        owner = await users.find(conn, USERS[0].email)
        if owner is not None and not await users.has_owner(conn, SHOP_ID):
            await users.grant(conn, SHOP_ID, owner.id, "owner")


def _refuse_in_earnest(config: Config) -> None:
    if not config.test_mode:
        raise ConfigError("demo merchants have public credentials: they are made with TEST_MODE=true only")
