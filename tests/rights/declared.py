"""Who owns what, written by hand from the design's table of services and not from the code that grants.

A service that comes to need more makes these tests fail. That is what they are for: then somebody decides,
here, that it may.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Room:
    """What one service owns, tells and hears."""
    domain: str | None                  # the first word of the subjects that it publishes, and its stream
    hears: tuple[str, ...]              # subjects of others that its consumers may be bound to
    keys: tuple[str, ...] = ()          # its keys in Valkey
    tables: bool = True                 # whether it has a schema in PostgreSQL
    replays: tuple[str, ...] = ()       # streams that it reads whole

    @property
    def tells_audit(self) -> bool:
        """Who has tables keeps an outbox, and tells of its users' actions and of what it refused."""
        return self.tables


ROOMS = {
    "session": Room("sessions", ("sessions.>",), ("session:*", "otp:*", "reset:*")),
    "catalog": Room("catalog", ("inventory.level.*",), ("product:*", "products:*", "lock:catalog:*")),
    # Beside the design's table it hears stock levels: a cart shows what is available.
    "cart": Room("carts", ("catalog.product.*", "orders.created.*", "sessions.opened.*", "inventory.level.*"),
                 ("cart:*",), tables=False, replays=("catalog",)),
    "order": Room("orders", ("catalog.product.*", "inventory.>", "payments.>", "shipments.>"), ("order:*",)),
    # Beside the design's table it hears that a cart's Valkey was emptied, and tells all levels anew.
    "inventory": Room("inventory", ("catalog.product.*", "orders.>", "carts.levels_lost.*")),
    "payment": Room("payments", ("orders.>",)),
    "shipping": Room("shipments", ("orders.>",)),
    "notification": Room("notifications", ("orders.>", "sessions.>", "payments.>", "shipments.>", "inventory.>")),
    "audit": Room("audit", ("audit.>", "sessions.>", "catalog.>", "orders.>", "inventory.>", "payments.>",
                            "shipments.>", "notifications.>")),
    "analytics": Room(None, ("orders.>", "payments.>", "carts.>"), ("report:*",)),
}
SERVICES = list(ROOMS)
WITH_TABLES = [name for name, room in ROOMS.items() if room.tables]

# Keys that the design gives to a service which has no use for them yet: so nobody may have them.
NOBODYS_KEYS = ("stock:*", "lock:payment:*")

# Rows that their own service may add and read, and nothing else.
APPEND_ONLY = {"audit": {"entry"}}

# What no right of the store can refuse: known, and why it is borne.
KNOWN = {
    "postgresql": (
        "LISTEN and NOTIFY: PostgreSQL has no right for them. Nothing of ours listens.",
        "Advisory locks of another's number: the functions are everybody's, and each service needs them. "
        "A service that was taken over could delay another's relay; it gains no data.",
        "The names of others' tables and columns (pg_class): the catalogue is everybody's. No row is.",
        "Its own password and settings (ALTER ROLE of itself): it can lock out itself alone.",
    ),
    "valkey": (
        "ratelimit:* is shared: a service that was taken over could forget counts.",
        "Another's function on its own keys: it reaches nothing that the caller could not write already.",
    ),
    "nats": (
        "Having the broker's answer put on another's subject, by the reply subject of a request: the broker looks at no "
        "right there. The bytes are the broker's JSON or an event as it was told, not the caller's; consumers leave alone "
        "what they do not know, and audit buries what does not belong to its subject.",
        "audit.user_actions.* in another's name: every service with tables tells of actions, and audit takes its word.",
    ),
}


def sample(pattern: str) -> str:
    """A key of a pattern, a subject of a filter."""
    return pattern.replace("*", "rights").replace(">", "rights.probe")


def others_keys(service: str) -> list[str]:
    """A key of each pattern that is not the service's own; session:* apart, which all may read."""
    patterns = [p for name, room in ROOMS.items() if name != service for p in room.keys] + list(NOBODYS_KEYS)
    return [sample(p) for p in patterns if p != "session:*"]


def others(service: str) -> list[str]:
    return [name for name in SERVICES if name != service]
