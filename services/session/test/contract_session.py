"""session: accounts, log-ins, codes and resets; tokens are stored as their hash only."""
import hashlib

import pytest

from support.messages import new_id
from support.waiting import eventually

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def session(start_service):
    return start_service("session", SESSION_LOGINS_PER_MINUTE="20", SESSION_ADMIN_EMAIL="boss@example.org",
                         SESSION_ADMIN_PASSWORD="boss-password")


@pytest.fixture
def email():
    return f"{new_id()[-12:]}@example.org"


@pytest.fixture
def account(session, email):
    made = session.post("/v1/accounts", {"email": email, "password": PASSWORD, "name": "Ada"})
    assert made.status == 201, made
    return made.json


def log_in(session, email, password=PASSWORD):
    return session.post("/v1/sessions", {"email": email, "password": password})


def test_who_registers_can_log_in_and_see_the_account(session, account, email):
    opened = log_in(session, email)
    assert opened.status == 201
    me = session.as_user(opened.json).get("/v1/accounts/me").json
    assert (me["id"], me["email"], me["role"]) == (account["id"], email, "customer")


def test_an_address_registers_once_whatever_its_case(session, account, email):
    again = session.post("/v1/accounts", {"email": email.upper(), "password": PASSWORD, "name": "Eve"})
    assert (again.status, again.json["code"]) == (409, "email_taken")


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(session, account, email):
    wrong, unknown = log_in(session, email, "wrong password"), log_in(session, f"no-{email}")
    assert wrong.status == unknown.status == 401
    assert {k: wrong.json[k] for k in ("code", "detail")} == {k: unknown.json[k] for k in ("code", "detail")}


def test_neither_password_nor_token_is_stored(session, account, email, stores):
    token = log_in(session, email).json["token"]
    (stored,) = stores.rows("session", "SELECT password_hash FROM account WHERE id = %s", account["id"])[0]
    assert stored.startswith("$argon2id$") and PASSWORD not in stored
    key = "session:" + hashlib.sha256(token.encode()).hexdigest()
    assert stores.valkey().exists(key) and not stores.valkey().keys(f"*{token}*")
    assert 30 * 86400 - 60 < stores.valkey().ttl(key) <= 30 * 86400


def test_sessions_are_listed_and_ended_each_by_itself(session, account, email):
    first, second = log_in(session, email).json, log_in(session, email).json
    listed = session.as_user(first).get("/v1/sessions").json["items"]
    assert len(listed) == 2
    current = session.as_user(second).get("/v1/sessions/current").json
    assert session.as_user(first).delete(f"/v1/sessions/{current['id']}").status == 204
    assert session.as_user(second).get("/v1/accounts/me").status == 401
    assert session.as_user(first).delete("/v1/sessions/current").status == 204
    assert session.as_user(first).get("/v1/sessions").status == 401


def test_a_code_opens_one_session(session, bus, account, email):
    with bus.listening("sessions.otp_requested.*") as heard:
        assert session.post("/v1/otp", {"email": email}).status == 202
        code = heard("souk.sessions.v1.OtpRequested", account_id=account["id"]).code
    wrong = "000000" if code != "000000" else "111111"
    assert session.post("/v1/sessions", {"email": email, "otp": wrong}).status == 401
    assert session.post("/v1/sessions", {"email": email, "otp": code}).status == 201
    assert session.post("/v1/sessions", {"email": email, "otp": code}).status == 401


def test_a_reset_ends_every_session_and_works_once(session, bus, account, email):
    before = log_in(session, email).json
    with bus.listening("sessions.*.*") as heard:
        assert session.post("/v1/password-resets", {"email": email}).status == 202
        token = heard("souk.sessions.v1.PasswordResetRequested", account_id=account["id"]).token
        assert session.put(f"/v1/password-resets/{token}", {"password": "another password"}).status == 204
        heard("souk.sessions.v1.PasswordChanged", account_id=account["id"])
    eventually("the old session is over", lambda: session.as_user(before).get("/v1/accounts/me").status == 401)
    assert log_in(session, email).status == 401
    assert log_in(session, email, "another password").status == 201
    assert session.put(f"/v1/password-resets/{token}", {"password": "third password"}).status == 404


def test_nobody_learns_whether_an_address_has_an_account(session, email):
    assert session.post("/v1/otp", {"email": f"no-{email}"}).status == 202
    assert session.post("/v1/password-resets", {"email": f"no-{email}"}).status == 202


def test_a_write_by_cookie_must_show_where_it_comes_from(session, account, email):
    cookie = f"souk_session={log_in(session, email).json['token']}"
    assert session.call("GET", "/v1/accounts/me", Cookie=cookie).status == 200
    refused = session.call("PATCH", "/v1/accounts/me", json={"name": "Eve"}, Cookie=cookie, Origin="https://evil.example")
    assert (refused.status, refused.json["code"]) == (403, "csrf")
    assert session.call("PATCH", "/v1/accounts/me", json={"name": "Eve"}, Cookie=cookie, X_Souk_CSRF="1").status == 200


def test_guesses_are_limited_and_told_when_to_come_back(session, account, email):
    answers = [log_in(session, email, f"guess {n}") for n in range(22)]
    assert answers[-1].status == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_a_session_that_cannot_be_checked_is_503_and_never_401(session, account, email, stores):
    opened = log_in(session, email).json
    with stores.without("valkey"):
        assert session.as_user(opened).get("/v1/accounts/me").status == 503
    eventually("it is back", lambda: session.as_user(opened).get("/v1/accounts/me").status == 200)


def test_the_administrator_of_the_configuration_exists(session):
    opened = eventually("the account", lambda: (lambda a: a if a.status == 201 else None)(
        log_in(session, "boss@example.org", "boss-password")))
    assert opened.json["account"]["role"] == "admin"


@pytest.mark.parametrize("body, pointer", [
    ({"email": "no address", "password": PASSWORD, "name": "A"}, "/email"),
    ({"email": "a@b.example", "password": "short", "name": "A"}, "/password"),
    ({"email": "a@b.example", "password": 5, "name": "A"}, "/password"),
    ({"email": "a@b.example", "password": PASSWORD}, "/name"),
])
def test_a_wrong_registration_is_told_what_is_wrong(session, body, pointer):
    answer = session.post("/v1/accounts", body)
    assert answer.status == 422, answer
    assert pointer in [e["pointer"] for e in answer.json["errors"]]
