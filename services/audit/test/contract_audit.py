"""audit: every event becomes one entry, and the chain shows tampering."""
import subprocess
import sys
import time

import pytest

from support import nats
from support.messages import message, new_id
from support.waiting import eventually


@pytest.fixture(scope="module")
def audit(start_service):
    return start_service("audit")


@pytest.fixture(scope="module")
def admin(audit, stores):
    return audit.as_user(stores.log_in("admin"))


def user_action(**fields):
    return message("souk.audit.v1.UserAction", version=1, action="session.opened", entity="session", **fields)


def entries(admin, query: str) -> list[dict]:
    answer = admin.get(f"/v1/audit?{query}")
    assert answer.status == 200, answer
    return answer.json["items"]


def test_a_user_action_is_an_entry_with_who_what_and_where(admin, bus):
    account, trace = new_id(), f"00-{new_id().replace('-', '')}-00f067aa0ba902b7-01"
    bus.tell(f"audit.user_actions.{account}", user_action(account_id=account, role="customer", address="192.0.2.7"),
             trace=trace)
    found = eventually("the entry", lambda: entries(admin, f"user_id={account}"))
    assert found[0]["action"] == "session.opened"
    assert found[0]["address"] == "192.0.2.7"
    assert found[0]["trace_id"] == trace[3:35]


def test_an_event_that_comes_twice_is_one_entry(admin, bus):
    account, event_id = new_id(), new_id()
    action = user_action(account_id=account)
    bus.tell(f"audit.user_actions.{account}", action, event_id)
    headers_lost = {"ce-id": event_id, "ce-type": "souk.audit.v1.UserAction"}  # no Nats-Msg-Id: the stream takes it
    bus.client.publish_acked(f"audit.user_actions.{account}", action.SerializeToString(), headers_lost)
    eventually("both handled", lambda: bus.settled("audit", "audit-actions"))
    assert len(entries(admin, f"user_id={account}")) == 1


def test_a_business_event_is_an_entry_of_its_entity(admin, bus):
    order = new_id()
    event = message("souk.orders.v1.OrderDelivered", order_id=order, version=6, number="S-1", email="a@b.example",
                    total_minor=100, currency="GBP")
    bus.tell(f"orders.delivered.{order}", event)
    found = eventually("the entry", lambda: entries(admin, f"entity={order}"))
    assert (found[0]["action"], found[0]["entity"]) == ("orders.delivered", "order")


def test_the_bytes_of_a_code_are_not_kept(admin, bus, stores):
    account = new_id()
    event = message("souk.sessions.v1.OtpRequested", account_id=account, version=1, email="a@b.example",
                    code="123456", expires_at_us=1)
    bus.tell(f"sessions.otp_requested.{account}", event)
    eventually("the entry", lambda: entries(admin, f"entity={account}"))
    assert bytes(stores.rows("audit", "SELECT data FROM entry WHERE entity_id = %s", account)[0][0]) == b""


def test_bytes_that_are_no_protobuf_are_kept_as_a_dead_letter(bus):
    before = bus.dead_letters("audit", "audit-actions")
    bus.client.publish_acked("audit.user_actions.broken", b"\xff\xff\xff",
                             {"ce-id": new_id(), "ce-type": "souk.audit.v1.UserAction"})
    eventually("the dead letter", lambda: bus.dead_letters("audit", "audit-actions") == before + 1)


def test_the_brokers_answer_on_anothers_subject_is_no_entry(admin, bus, stores):
    """A request's reply subject may be anything: the broker does not ask whether its sender may publish there."""
    order, event_id = new_id(), new_id()
    before = bus.dead_letters("payments", "audit-payments")
    client = nats.Client(stores.secret("notification", "nats_url"))
    client.publish("notifications.rights.probe", b"{}", {"Nats-Expected-Stream": "none"},
                   reply=f"payments.confirmed.{order}")
    client.flush()
    client.close()
    bus.tell(f"payments.failed.{order}", message("souk.payments.v1.PaymentFailed", payment_id=order, order_id=order,
                                                 version=1, reason="declined"), event_id)
    eventually("the payment's own event is handled", lambda: stores.handled("audit", event_id), within=30)
    eventually("the dead letter", lambda: bus.dead_letters("payments", "audit-payments") == before + 1, within=30)
    assert [e["action"] for e in entries(admin, f"entity={order}")] == ["payments.failed"]


# ---- refused access ----

def refusals(admin, account: str) -> list[dict]:
    return entries(admin, f"user_id={account}&action=access.refused&limit=100")


def test_who_is_refused_is_in_the_log_with_what_why_from_where_and_its_trace(audit, admin, stores):
    customer, trace = stores.log_in("customer"), new_id().replace("-", "")
    asked = audit.as_user(customer).get("/v1/audit/verify", traceparent=f"00-{trace}-00f067aa0ba902b7-01",
                                        X_Real_IP="192.0.2.81")
    assert asked.status == 403
    (entry,) = eventually("the entry", lambda: refusals(admin, customer["account_id"]))
    assert (entry["entity"], entry["entity_id"], entry["detail"]) == ("route", "GET /v1/audit/verify", "forbidden")
    assert (entry["role"], entry["address"], entry["trace_id"]) == ("customer", "192.0.2.81", trace)


def test_who_asks_again_and_again_does_not_fill_the_log(audit, admin, bus, stores):
    """Given 20 at once and 10 a minute for an account, when it is refused 100 times, then no more are entries."""
    staff, began = stores.log_in("staff"), time.monotonic()
    asking = audit.as_user(staff)
    for number in range(100):
        assert asking.get("/v1/audit", X_Real_IP=f"192.0.2.{number}").status == 403
    minutes = (time.monotonic() - began) / 60
    # A later one of another account, so that those before are there.
    last = stores.log_in("customer")
    audit.as_user(last).get("/v1/audit", X_Real_IP="192.0.2.250")
    eventually("the last one's entry", lambda: refusals(admin, last["account_id"]), within=30)
    eventually("all handled", lambda: bus.settled("audit", "audit-actions"), within=30)
    assert 20 <= len(refusals(admin, staff["account_id"])) <= 20 + 10 * minutes + 1


def test_a_refusal_costs_no_more_than_its_entry_when_the_log_cannot_be_told(audit, stores):
    """PostgreSQL down: who may not still gets 403, and not 503."""
    customer = stores.log_in("customer")
    with stores.without("postgres"):
        assert audit.as_user(customer).get("/v1/audit", X_Real_IP="192.0.2.82").status == 403


def test_a_bad_message_does_not_hold_up_its_neighbours(admin, bus):
    accounts = [new_id() for _ in range(20)]
    for number, account in enumerate(accounts):
        bus.tell(f"audit.user_actions.{account}", user_action(account_id=account))
        if number == 10:
            bus.client.publish_acked("audit.user_actions.broken", b"\x07", {"ce-type": "souk.audit.v1.UserAction"})
    for account in accounts:
        eventually("its entry", lambda a=account: len(entries(admin, f"user_id={a}")) == 1)


def test_the_chain_verifies_and_an_outsider_can_verify_the_export(admin, bus):
    bus.tell("audit.user_actions.anonymous", user_action())
    eventually("all handled", lambda: bus.settled("audit", "audit-actions"))
    verdict = admin.get("/v1/audit/verify").json
    assert verdict["valid"] and verdict["complete"]
    export = admin.get("/v1/audit/export")
    outsider = subprocess.run([sys.executable, "services/audit/test/verify_export.py", verdict["head_hash"]],
                              input=export.text, capture_output=True, text=True, check=False)
    assert outsider.returncode == 0, outsider.stderr


def test_a_row_that_was_changed_breaks_the_chain(admin, stores, bus):
    bus.tell("audit.user_actions.anonymous", user_action(detail="before"))
    eventually("all handled", lambda: bus.settled("audit", "audit-actions"))
    (sequence,) = stores.rows("audit", "SELECT max(seq) FROM entry")[0]
    change = ("ALTER TABLE entry DISABLE TRIGGER entry_no_change; UPDATE entry SET detail = '{}' WHERE seq = %s;"
              "ALTER TABLE entry ENABLE TRIGGER entry_no_change")
    stores.rows("audit", change.format("after"), sequence)
    verdict = admin.get("/v1/audit/verify").json
    stores.rows("audit", change.format("before"), sequence)
    assert (verdict["valid"], verdict["bad_seq"]) == (False, sequence)
    assert admin.get("/v1/audit/verify").json["valid"]


def test_only_admins_may_read_it(audit, stores):
    assert audit.get("/v1/audit").status == 401
    assert audit.as_user(stores.log_in("staff")).get("/v1/audit").status == 403


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=%21%21", "from=yesterday"])
def test_a_wrong_query_is_422(admin, query):
    assert admin.get(f"/v1/audit?{query}").status == 422
