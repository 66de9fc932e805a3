"""Every route asked by who may not ask it: nobody, a customer, staff. The routes that need a role, by hand from the
design; any other that a service declares is tried as well."""
import json

import pytest
from rights.declared import SERVICES

from support.messages import new_id
from support.stack import BUILD
from support.waiting import eventually

STAFF, ADMIN = "staff", "admin"
ROUTES = {
    "catalog": {("POST", "/v1/products"): STAFF, ("PATCH", "/v1/products/{id}"): STAFF,
                ("DELETE", "/v1/products/{id}"): STAFF, ("POST", "/v1/products/import"): STAFF},
    "order": {("POST", "/v1/orders/{id}/refunds"): STAFF},
    "inventory": {("PUT", "/v1/stock/{sku}"): STAFF, ("POST", "/v1/stock/{sku}/adjustments"): STAFF,
                  ("GET", "/v1/stock/{sku}/movements"): STAFF},
    "payment": {("GET", "/v1/payments"): STAFF},
    "notification": {("GET", "/v1/notifications"): STAFF, ("POST", "/v1/webhook-endpoints"): STAFF,
                     ("GET", "/v1/webhook-endpoints"): STAFF, ("DELETE", "/v1/webhook-endpoints/{id}"): STAFF},
    "audit": {("GET", "/v1/audit"): ADMIN, ("GET", "/v1/audit/verify"): ADMIN, ("GET", "/v1/audit/export"): ADMIN},
    "analytics": {("GET", "/v1/analytics/sales"): STAFF, ("GET", "/v1/analytics/top-products"): STAFF,
                  ("GET", "/v1/analytics/funnel"): STAFF},
}
SESSIONS = {
    "session": [("GET", "/v1/accounts/me"), ("PATCH", "/v1/accounts/me"), ("GET", "/v1/sessions"),
                ("GET", "/v1/sessions/current"), ("DELETE", "/v1/sessions/current"), ("DELETE", "/v1/sessions/{id}")],
    "order": [("GET", "/v1/orders")],
    "shipping": [("GET", "/v1/shipments/{id}"), ("GET", "/v1/shipments/{id}/label")],
}


def declared_routes(service: str) -> dict:
    described = json.loads((BUILD / "topology.json").read_text())["services"]
    return {(route["method"], route["path"]): route["access"]
            for one in described if one["name"] == service for route in one["routes"]}


def routes_of(service: str) -> dict:
    """{(method, path): the least role}."""
    also = {where: access for where, access in declared_routes(service).items() if access in (STAFF, ADMIN)}
    return also | ROUTES.get(service, {})


def path_of(template: str) -> str:
    return template.replace("{id}", new_id()).replace("{sku}", "SKU-RIGHTS")


def address(service: str, number: int) -> str:
    """Of its own for each service and asker, so that the limits of one do not count the others."""
    return f"198.51.{SERVICES.index(service)}.{number}"


@pytest.mark.parametrize("service", [name for name in SERVICES if name in ROUTES or name in SESSIONS])
def test_a_route_is_refused_to_who_may_not_ask_and_the_audit_log_is_told(
        bus, matrix, start_service, stores, service):
    running, row, refused = start_service(service), matrix.row(service, "http"), []
    sessions = {role: stores.log_in(role) for role in ("customer", STAFF, ADMIN)}

    def ask(role: str | None, where: tuple[str, str]) -> int:
        method, template = where
        asker = running.as_user(sessions.get(role))
        body = None if method in ("GET", "DELETE") else {}
        return asker.call(method, path_of(template), json=body, checked=False,
                          X_Real_IP=address(service, 1 + list((None, *sessions)).index(role)))

    with bus.listening("audit.user_actions.*") as audited:
        for where, least in routes_of(service).items():
            row.refuses(f"nobody: {where}", ask(None, where).status == 401)
            for role in ("customer",) if least == STAFF else ("customer", STAFF):
                answer = ask(role, where)
                row.refuses(f"{role}: {where}", answer.status == 403, answer)
                refused.append((sessions[role]["account_id"], " ".join(where)))
            answer = ask(ADMIN, where)
            row.allows(f"admin: {where}", answer.status not in (401, 403), answer)
        for where in SESSIONS.get(service, ()):
            row.refuses(f"nobody: {where}", ask(None, where).status == 401)
            row.allows(f"customer: {where}", ask("customer", where).status not in (401, 403))
        for account, where in refused:
            eventually(f"the audit log is told of {where}", lambda a=account, w=where: audited.count(
                "souk.audit.v1.UserAction", action="access.refused", account_id=a, entity_id=w) == 1, within=30)
    row.check()
