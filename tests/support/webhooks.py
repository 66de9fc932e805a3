"""Webhooks as a provider or a carrier would sign them: Standard Webhooks 1.0."""
import base64
import hashlib
import hmac
import json
import time

from support.messages import new_id


def signed(secret: str, body: dict, message_id: str | None = None, at: int | None = None) -> dict:
    """The arguments of Client.call for a signed webhook."""
    data, message_id = json.dumps(body).encode(), message_id or new_id()
    timestamp = str(at if at is not None else int(time.time()))
    mac = hmac.new(secret.encode(), f"{message_id}.{timestamp}.".encode() + data, hashlib.sha256)
    return {"data": data, "Content-Type": "application/json", "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": "v1," + base64.b64encode(mac.digest()).decode()}
