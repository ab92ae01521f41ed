"""What the navigation shows. A page stands here when it is there, and not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from dashboard.addresses import HOME

if TYPE_CHECKING:
    from dashboard.sessions import Session
    from gateway.users import Role


class Item(NamedTuple):
    """A place to go to."""

    label: str
    path: str
    icon: str
    """A name of `ui.icon`."""
    need: Role | Literal["operator"] | None = "viewer"
    """Who is shown it. None: everybody who is signed in."""
    on_phone: bool = False
    """Whether it stands in the bar at the bottom of a phone, too, which has room for four."""


ITEMS: tuple[tuple[str, tuple[Item, ...]], ...] = (
    (
        "",
        (
            Item("Overview", "/dashboard", "home", on_phone=True),
            Item("Payments", "/dashboard/payments", "card", on_phone=True),
            Item("Webhooks", "/dashboard/webhooks", "hook", on_phone=True),
        ),
    ),
    (
        "Developers",
        (
            Item("Events", "/dashboard/events", "pulse"),
            Item("API keys", "/dashboard/keys", "key"),
            Item("Docs", "/dashboard/docs", "book"),
        ),
    ),
    (
        "Organisation",
        (
            Item("Team", "/dashboard/team", "users", "owner"),
            Item("Audit log", "/dashboard/audit", "scroll", "owner"),
        ),
    ),
    (
        "All merchants",
        (Item("Operations", "/dashboard/operator", "shield", "operator", on_phone=True),),
    ),
    (
        "You",
        (Item("Account", "/dashboard/account", "user", None, on_phone=True),),
    ),
)


def shown(session: Session) -> list[tuple[str, list[Item]]]:
    """The groups and items that this user may open."""
    groups = [(title, [item for item in items if _open(session, item)]) for title, items in ITEMS]
    return [(title, items) for title, items in groups if items]


def current(path: str) -> str:
    """The path of the item that a page belongs to: the longest that it begins with; all begin with the overview's."""
    paths = [item.path for _, items in ITEMS for item in items]
    around = (one for one in paths if path == one or (one != HOME and path.startswith(f"{one}/")))
    return max(around, key=len, default="")


def _open(session: Session, item: Item) -> bool:
    if item.need == "operator":
        return session.operator
    return item.need is None or session.may(item.need)
