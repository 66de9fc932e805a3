"""session: accounts, log-ins, codes and resets; tokens are stored as their hash only."""
import concurrent.futures
import hashlib
import time
import urllib.parse

import pytest
import redis

from support.messages import message, new_id
from support.waiting import eventually

PASSWORD = "correct horse battery"
MONTH = 30 * 24 * 3600


@pytest.fixture(scope="module")
def session(start_service):
    return start_service("session", SESSION_LOGINS_PER_MINUTE="20", SESSION_ARGON2_MEMORY_KIB="1024",
                         SESSION_ADMIN_EMAIL="boss@example.org", SESSION_ADMIN_PASSWORD="boss-password")


@pytest.fixture
def email():
    return f"{new_id()[-12:]}@example.org"


@pytest.fixture
def account(session, email):
    made = register(session, email)
    assert made.status == 201, made
    return made.json


def register(session, email, **headers):
    return session.post("/v1/accounts", {"email": email, "password": PASSWORD, "name": "Ada"}, **headers)


def log_in(session, email, password=PASSWORD, **headers):
    return session.post("/v1/sessions", {"email": email, "password": password}, **headers)


def key_of(opened: dict) -> str:
    return "session:" + hashlib.sha256(opened["token"].encode()).hexdigest()


def is_open(session, opened: dict) -> bool:
    status = session.as_user(opened).get("/v1/sessions/current").status
    assert status in (200, 401)
    return status == 200


def code_for(session, bus, email) -> str:
    """A one-time code, as the mail would bring it."""
    with bus.listening("sessions.otp_requested.*") as heard:
        assert session.post("/v1/otp", {"email": email}).status == 202
        return heard("souk.sessions.v1.OtpRequested", email=email).code


def other_code(code: str) -> str:
    return "000000" if code != "000000" else "111111"


def reset_token_for(session, bus, email) -> str:
    with bus.listening("sessions.reset_requested.*") as heard:
        assert session.post("/v1/password-resets", {"email": email}).status == 202
        return heard("souk.sessions.v1.PasswordResetRequested", email=email).token


# ---- accounts ----

def test_who_registers_can_log_in_and_see_the_account(session, bus, email):
    with bus.listening("sessions.registered.*") as heard, bus.listening("audit.user_actions.*") as audited:
        account = register(session, email).json
        told = heard("souk.sessions.v1.AccountRegistered", account_id=account["id"])
        audited("souk.audit.v1.UserAction", account_id=account["id"], action="account.registered")
    assert (told.email, told.name, told.version) == (email, "Ada", 1)
    opened = log_in(session, email)
    me = session.as_user(opened.json).get("/v1/accounts/me").json
    assert (me["id"], me["email"], me["role"]) == (account["id"], email, "customer")


def test_an_address_registers_once_whatever_its_case(session, account, email):
    again = register(session, email.upper())
    assert (again.status, again.json["code"]) == (409, "email_taken")
    assert log_in(session, email.upper()).json["account"]["id"] == account["id"]


def test_of_registrations_at_one_moment_one_wins(session, email):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: register(session.as_user(None), email).status, range(6)))
    assert sorted(statuses) == [201] + [409] * 5


def test_registrations_with_one_key_at_one_moment_are_one_account(session, email, stores):
    key = new_id()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: register(session.as_user(None), email, Idempotency_Key=key), range(6)))
    assert {a.status for a in answers} == {201} and len({a.bytes for a in answers}) == 1
    assert sorted(a.headers.get("Idempotent-Replayed", "") for a in answers) == [""] + ["true"] * 5
    assert stores.rows("session", "SELECT count(*) FROM account WHERE email = %s", email) == [(1,)]
    assert register(session, f"x{email}", Idempotency_Key=key).json["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("body, pointer", [
    ({"email": "no address", "password": PASSWORD, "name": "A"}, "/email"),
    ({"email": "a@b.example", "password": "short", "name": "A"}, "/password"),
    ({"email": "a@b.example", "password": "x" * 257, "name": "A"}, "/password"),
    ({"email": "a@b.example", "password": 5, "name": "A"}, "/password"),
    ({"email": "a@b.example", "password": PASSWORD}, "/name"),
    ({"email": "a@b.example", "password": PASSWORD, "name": ""}, "/name"),
])
def test_a_wrong_registration_is_told_what_is_wrong(session, body, pointer):
    answer = session.post("/v1/accounts", body)
    assert answer.status == 422, answer
    assert pointer in [e["pointer"] for e in answer.json["errors"]]


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/sessions", "/v1/otp", "/v1/password-resets"])
def test_what_is_no_json_is_400(session, path):
    answer = session.call("POST", path, data=b"{", Content_Type="application/json")
    assert (answer.status, answer.json["code"]) == (400, "malformed_json")


def test_the_administrator_of_the_configuration_exists(session):
    opened = eventually("the account", lambda: (lambda a: a if a.status == 201 else None)(
        log_in(session, "boss@example.org", "boss-password")))
    assert opened.json["account"]["role"] == "admin"


def test_a_new_name_is_told_and_nobody_makes_himself_staff(session, bus, account, email):
    me = session.as_user(log_in(session, email).json)
    with bus.listening("sessions.updated.*") as heard:
        changed = me.patch("/v1/accounts/me", {"name": "Eve", "role": "admin", "id": new_id()}).json
        told = heard("souk.sessions.v1.AccountUpdated", account_id=account["id"], version=2)
    assert (changed["name"], changed["role"], changed["id"]) == ("Eve", "customer", account["id"])
    assert (told.name, told.role) == ("Eve", "customer")


# ---- logging in and out ----

def test_the_cookie_is_for_the_browser_alone(session, account, email):
    cookie = log_in(session, email, X_Forwarded_Proto="https").headers["Set-Cookie"]
    for attribute in ("souk_session=", "HttpOnly", "SameSite=Lax", "Secure", f"Max-Age={MONTH}", "Path=/"):
        assert attribute in cookie


@pytest.mark.parametrize("how", ["X_Cart_Token", "Cookie"])
def test_a_log_in_tells_of_the_guests_cart_without_its_token(session, bus, account, email, how):
    token = "A" * 43
    with bus.listening("sessions.opened.*") as heard:
        opened = log_in(session, email, **{how: token if how == "X_Cart_Token" else f"souk_cart={token}"}).json
        told = heard("souk.sessions.v1.SessionOpened", session_id=opened["id"])
    assert told.cart_token_hash == hashlib.sha256(token.encode()).hexdigest()


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(session, bus, account, email):
    with bus.listening("audit.user_actions.*") as audited:
        wrong, unknown = log_in(session, email, "wrong password"), log_in(session, f"no-{email}")
        audited("souk.audit.v1.UserAction", action="session.refused", entity_id=account["id"])
    code = session.post("/v1/sessions", {"email": f"no-{email}", "otp": "123456"})
    assert wrong.status == unknown.status == code.status == 401
    said = [{k: v for k, v in a.json.items() if k != "trace_id"} for a in (wrong, unknown, code)]
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize("body", [{}, {"email": "a@b.example"}, {"email": "a@b.example", "password": ""},
                                  {"email": "a@b.example", "password": PASSWORD, "otp": "123456"},
                                  {"email": "a@b.example", "password": ["x"]}, {"email": 5, "password": PASSWORD}])
def test_a_log_in_that_lacks_something_is_422(session, body):
    assert session.post("/v1/sessions", body).status == 422


def test_neither_password_nor_token_is_stored(session, account, email, stores):
    opened = log_in(session, email).json
    (stored,) = stores.rows("session", "SELECT password_hash FROM account WHERE id = %s", account["id"])[0]
    assert stored.startswith("$argon2id$") and PASSWORD not in stored
    valkey = stores.valkey()
    assert MONTH - 60 < valkey.ttl(key_of(opened)) <= MONTH
    assert not [k for k in valkey.scan_iter("*") if opened["token"] in k]
    assert opened["token"] not in str(valkey.hgetall(key_of(opened)))
    log = session.log_path.read_text()
    assert opened["token"] not in log and PASSWORD not in log


def test_sessions_are_listed_page_by_page_with_their_devices(session, account, email):
    for number in range(3):
        last = log_in(session, email, User_Agent=f"Browser/{number}", X_Real_IP=f"192.0.2.{number}").json
    me, seen, cursor = session.as_user(last), [], ""
    while cursor is not None:
        page = me.get(f"/v1/sessions?limit=2{cursor and '&cursor=' + cursor}").json
        seen, cursor = seen + page["items"], page["next_cursor"]
    assert [(s["user_agent"], s["address"], s["current"]) for s in seen] == [
        ("Browser/2", "192.0.2.2", True), ("Browser/1", "192.0.2.1", False), ("Browser/0", "192.0.2.0", False)]
    assert me.get("/v1/sessions?limit=0").status == 422


def test_sessions_are_ended_each_by_itself(session, bus, account, email):
    first, second = log_in(session, email).json, log_in(session, email).json
    with bus.listening("sessions.closed.*") as heard:
        assert session.as_user(first).delete(f"/v1/sessions/{second['id']}").status == 204
        heard("souk.sessions.v1.SessionClosed", session_id=second["id"])
    assert not is_open(session, second)
    ended = session.as_user(first).delete("/v1/sessions/current")
    assert (ended.status, "Max-Age=0" in ended.headers["Set-Cookie"]) == (204, True)
    assert session.as_user(first).get("/v1/sessions").status == 401


def test_anothers_session_is_404(session, account, email):
    assert register(session, f"other-{email}").status == 201
    mine, others = log_in(session, email).json, log_in(session, f"other-{email}").json
    for name in (others["id"], new_id(), "no-id"):
        assert session.as_user(mine).delete(f"/v1/sessions/{name}").status == 404
    assert is_open(session, others)


def test_a_write_by_cookie_must_show_where_it_comes_from(session, account, email):
    cookie = f"souk_session={log_in(session, email).json['token']}"
    assert session.get("/v1/accounts/me", Cookie=cookie).status == 200
    for foreign in ({}, {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"X_Souk_CSRF": "0"}):
        refused = session.patch("/v1/accounts/me", {"name": "Eve"}, Cookie=cookie, **foreign)
        assert (refused.status, refused.json["code"]) == (403, "csrf")
    for own in ({"X_Souk_CSRF": "1"}, {"Sec_Fetch_Site": "same-origin"}, {"Origin": session.base_url}):
        assert session.patch("/v1/accounts/me", {"name": "Eve"}, Cookie=cookie, **own).status == 200


def test_a_session_in_use_lives_on_and_an_old_message_takes_nothing_from_it(session, bus, account, email, stores):
    opened, valkey = log_in(session, email).json, stores.valkey()
    valkey.hset(key_of(opened), "last_seen", int(time.time()) - 7200)
    valkey.expire(key_of(opened), 60)
    assert is_open(session, opened)
    eventually("it is prolonged", lambda: valkey.ttl(key_of(opened)) > MONTH - 60)
    late = message("souk.sessions.v1.SessionSeen", session_id=opened["id"], account_id=account["id"],
                   token_hash=key_of(opened).removeprefix("session:"))
    headers = {"ce-id": new_id(), "ce-type": late.DESCRIPTOR.full_name, "ce-time": "2020-01-01T00:00:00Z"}
    bus.client.publish_acked(f"sessions.seen.{opened['id']}", late.SerializeToString(), headers)
    eventually("it is handled", lambda: bus.settled("sessions", "session-seen"))
    assert valkey.ttl(key_of(opened)) > MONTH - 60


def test_a_hash_of_older_parameters_is_made_anew_at_a_log_in(start_service, session, account, email, stores):
    dearer = start_service("session", SESSION_ARGON2_MEMORY_KIB="2048")
    assert log_in(dearer, email).status == 201
    (stored,) = stores.rows("session", "SELECT password_hash FROM account WHERE id = %s", account["id"])[0]
    assert "$m=2048," in stored
    assert log_in(session, email).status == 201


# ---- codes ----

def test_a_code_opens_one_session(session, bus, account, email, stores):
    code = code_for(session, bus, email)
    key = f"otp:{account['id']}"
    assert 0 < stores.valkey().ttl(key) <= 600 and code not in stores.valkey().hgetall(key).values()
    assert session.post("/v1/sessions", {"email": email, "otp": other_code(code)}).status == 401
    assert session.post("/v1/sessions", {"email": email, "otp": code}).status == 201
    assert session.post("/v1/sessions", {"email": email, "otp": code}).status == 401


def test_a_code_has_five_tries_and_a_new_one_replaces_it(session, bus, account, email):
    first = code_for(session, bus, email)
    second = code_for(session, bus, email)
    if first != second:
        assert session.post("/v1/sessions", {"email": email, "otp": first}).status == 401
    for _ in range(5):
        assert session.post("/v1/sessions", {"email": email, "otp": other_code(second)}).status == 401
    assert session.post("/v1/sessions", {"email": email, "otp": second}).status == 401


def test_of_log_ins_with_one_code_at_one_moment_one_wins(session, bus, account, email):
    body = {"email": email, "otp": code_for(session, bus, email)}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda _: session.as_user(None).post("/v1/sessions", body).status, range(4)))
    assert sorted(statuses) == [201, 401, 401, 401]


def test_nobody_learns_whether_an_address_has_an_account(session, account, email):
    for path in ("/v1/otp", "/v1/password-resets"):
        known, unknown = session.post(path, {"email": email}), session.post(path, {"email": f"no-{email}"})
        assert (known.status, known.bytes) == (unknown.status, unknown.bytes) == (202, b"")
        assert session.post(path, {"email": "no address"}).status == 422


# ---- passwords ----

def test_a_changed_password_ends_the_other_sessions_and_keeps_this_one(session, bus, account, email):
    this, other = log_in(session, email).json, log_in(session, email).json
    me = session.as_user(this)
    assert me.patch("/v1/accounts/me", {"password": "another password"}).status == 422
    wrong = me.patch("/v1/accounts/me", {"password": "another password", "current_password": "no"})
    assert (wrong.status, wrong.json["code"]) == (403, "wrong_password")
    changed = me.patch("/v1/accounts/me", {"password": "another password", "current_password": PASSWORD})
    assert changed.status == 200
    assert not is_open(session, other)
    eventually("the event is handled", lambda: bus.settled("sessions", "session-passwords"))
    assert is_open(session, this)
    assert (log_in(session, email).status, log_in(session, email, "another password").status) == (401, 201)


def test_the_event_alone_ends_what_the_old_password_opened(session, bus, account, email):
    opened = log_in(session, email).json  # and the process died between the commit and Valkey
    bus.tell(f"sessions.password_changed.{account['id']}", message(
        "souk.sessions.v1.PasswordChanged", account_id=account["id"], version=2, email=email))
    eventually("it has ended", lambda: not is_open(session, opened))


def test_a_reset_ends_every_session_and_works_once(session, bus, account, email, stores):
    before = log_in(session, email).json
    first, second = reset_token_for(session, bus, email), reset_token_for(session, bus, email)
    assert 0 < stores.valkey().ttl("reset:" + hashlib.sha256(first.encode()).hexdigest()) <= 3600
    assert session.put(f"/v1/password-resets/{first}", {"password": "short"}).status == 422

    def reset(number: int) -> int:
        return session.as_user(None).put(f"/v1/password-resets/{first}", {"password": f"new password {number}"}).status

    with bus.listening("sessions.password_changed.*") as heard, concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(reset, range(4)))
        heard("souk.sessions.v1.PasswordChanged", account_id=account["id"], version=2)
    assert sorted(statuses) == [204, 404, 404, 404]
    assert not is_open(session, before)
    assert log_in(session, email).status == 401
    assert log_in(session, email, f"new password {statuses.index(204)}").status == 201
    for token in (first, second, "A" * 43, "unknown"):  # an older link ends with the password that it was for
        answer = session.put(f"/v1/password-resets/{token}", {"password": "third password"})
        assert (answer.status, answer.json["code"]) == (404, "reset_token_unknown")


# ---- limits ----

def test_guesses_are_limited_by_account_and_told_when_to_come_back(session, account, email):
    register(session, f"other-{email}")
    answers = [log_in(session, email, f"guess {n}", X_Real_IP="192.0.2.76") for n in range(30)]
    assert (answers[0].status, answers[-1].status, answers[-1].json["code"]) == (401, 429, "too_many_attempts")
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert log_in(session, email, X_Real_IP="192.0.2.77").status == 429
    assert log_in(session, f"other-{email}").status == 201


def test_recoveries_are_limited_by_address_with_the_headers_that_say_so(session):
    answers = [session.post("/v1/otp", {"email": f"{n}@nobody.example"}, X_Real_IP="192.0.2.99") for n in range(90)]
    assert answers[0].headers["RateLimit-Limit"] == "60"
    assert int(answers[0].headers["RateLimit-Remaining"]) > int(answers[1].headers["RateLimit-Remaining"])
    refused = answers[-1]
    assert (refused.status, refused.json["code"], refused.headers["RateLimit-Remaining"]) == (429, "too_many_requests", "0")
    assert int(refused.headers["Retry-After"]) >= 1 and int(refused.headers["RateLimit-Reset"]) >= 1
    assert session.post("/v1/otp", {"email": "1@nobody.example"}, X_Real_IP="192.0.2.98").status == 202


# ---- messages that cannot be, and outages ----

@pytest.mark.parametrize("what, kind, consumer", [("seen", "SessionSeen", "session-seen"),
                                                  ("password_changed", "PasswordChanged", "session-passwords")])
def test_bytes_that_are_no_message_are_a_dead_letter(session, bus, what, kind, consumer):
    before = bus.dead_letters("sessions", consumer)
    for data in (b"\xff", b""):
        bus.client.publish_acked(f"sessions.{what}.x", data, {"ce-id": new_id(), "ce-type": f"souk.sessions.v1.{kind}"})
    eventually("both are dead letters", lambda: bus.dead_letters("sessions", consumer) == before + 2)


def test_nobody_reads_sessions_without_a_user_of_valkey(stores):
    port = urllib.parse.urlparse(stores.secret("admin", "valkey_url")).port
    for user in ({}, {"username": "default", "password": ""}, {"username": "default", "password": "x"}):
        with pytest.raises(redis.exceptions.RedisError):
            redis.Redis(port=port, **user).keys("*")


def test_without_valkey_it_is_503_and_never_401_and_sessions_outlive_it(session, account, email, stores):
    opened = log_in(session, email).json
    with stores.without("valkey"):
        for refused in (session.as_user(opened).get("/v1/accounts/me"), session.as_user({"token": "A" * 43}).get("/v1/sessions"),
                        log_in(session, email), session.post("/v1/otp", {"email": email})):
            assert (refused.status, int(refused.headers["Retry-After"]) > 0) == (503, True), refused
    eventually("it is back", lambda: session.as_user(opened).get("/v1/accounts/me").status == 200)
    assert log_in(session, email).status == 201


def test_without_postgresql_who_is_logged_in_stays_so_and_can_log_out(session, account, email, stores):
    opened = log_in(session, email).json
    with stores.without("postgres"):
        assert is_open(session, opened)
        assert log_in(session, email).status == 503
        assert session.as_user(opened).get("/v1/accounts/me").status == 503
        assert session.as_user(opened).delete("/v1/sessions/current").status == 204
        assert not is_open(session, opened)
    eventually("log-ins are back", lambda: log_in(session, email).status == 201)


def test_without_the_broker_log_ins_go_on_and_are_told_later(session, bus, account, email, stores):
    with stores.without("nats"):
        assert log_in(session, email).status == 201
    last = {"last_by_subj": f"sessions.opened.{account['id']}"}
    eventually("it is in the stream", lambda: bus.client.api("STREAM.MSG.GET.sessions", last).get("message"), within=20)


# ---- what the audit log hears ----

def test_guessing_on_is_told_once_a_minute_and_not_for_every_guess(start_service, bus, email):
    strict = start_service("session", SESSION_LOGINS_PER_MINUTE="1", SESSION_ARGON2_MEMORY_KIB="1024")
    account, began = register(strict, email).json, time.monotonic()
    with bus.listening("audit.user_actions.*") as audited:
        statuses = [log_in(strict, email, "wrong").status for _ in range(6)]
        minutes = (time.monotonic() - began) / 60
        assert set(statuses) == {401, 429}
        told = audited("souk.audit.v1.UserAction", action="session.throttled", entity_id=account["id"], within=30)
        assert (told.account_id, told.address) == ("", "127.0.0.1")
        later = register(strict, f"{new_id()[-12:]}@example.org").json  # its entry comes after all of those
        audited("souk.audit.v1.UserAction", action="account.registered", account_id=later["id"], within=30)
        count = audited.count("souk.audit.v1.UserAction", action="session.throttled", entity_id=account["id"])
    assert 1 <= count <= 1 + minutes


def test_a_wrong_current_password_is_a_refused_access(session, bus, account, email):
    me = session.as_user(log_in(session, email).json)
    with bus.listening("audit.user_actions.*") as audited:
        assert me.patch("/v1/accounts/me", {"password": "another password", "current_password": "no"}).status == 403
        told = audited("souk.audit.v1.UserAction", action="access.refused", account_id=account["id"], within=30)
    assert (told.entity_id, told.detail, told.role) == ("PATCH /v1/accounts/me", "wrong_password", "customer")


def test_a_write_that_another_site_made_is_a_refused_access(session, bus, account, email):
    cookie = f"souk_session={log_in(session, email).json['token']}"
    with bus.listening("audit.user_actions.*") as audited:
        answer = session.patch("/v1/accounts/me", {"name": "Eve"}, Cookie=cookie, Sec_Fetch_Site="cross-site")
        assert (answer.status, answer.json["code"]) == (403, "csrf")
        assert audited("souk.audit.v1.UserAction", action="access.refused", account_id=account["id"], detail="csrf",
                       within=30).entity_id == "PATCH /v1/accounts/me"


def test_a_wrong_reset_token_is_told_without_the_token(session, bus):
    with bus.listening("audit.user_actions.*") as audited:
        answer = session.put(f"/v1/password-resets/{'B' * 43}", {"password": "new password"}, X_Real_IP="192.0.2.78")
        assert answer.status == 404
        told = audited("souk.audit.v1.UserAction", action="password_reset.refused", address="192.0.2.78", within=30)
    assert "BBB" not in str(told)
