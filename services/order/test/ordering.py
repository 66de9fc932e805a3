"""What the contract tests of order say and do again and again; they play the other services."""
from support.events import ADDRESS
from support.messages import message, new_id
from support.waiting import eventually

TYPES = {
    "inventory.reserved": "souk.inventory.v1.StockReserved", "inventory.rejected": "souk.inventory.v1.StockRejected",
    "inventory.sold": "souk.inventory.v1.StockSold", "inventory.released": "souk.inventory.v1.StockReleased",
    "payments.cancelled": "souk.payments.v1.PaymentCancelled",
    "payments.confirmed": "souk.payments.v1.PaymentConfirmed", "payments.failed": "souk.payments.v1.PaymentFailed",
    "inventory.expired": "souk.inventory.v1.StockExpired",
    "payments.refunded": "souk.payments.v1.PaymentRefunded",
    "payments.refund_failed": "souk.payments.v1.PaymentRefundFailed",
    "shipments.label_created": "souk.shipments.v1.LabelCreated",
    "shipments.shipped": "souk.shipments.v1.ParcelShipped",
    "shipments.delivered": "souk.shipments.v1.ParcelDelivered",
    "shipments.voided": "souk.shipments.v1.LabelVoided",
}


def pounds(minor: int) -> dict:
    return {"amount": minor, "currency": "GBP"}


def body(sku, quantity=2, **more) -> dict:
    return {"items": [{"sku": sku, "quantity": quantity}], "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": "tok_ok"}} | more


def try_to_place(client, wanted: dict, **headers):
    return client.post("/v1/orders", wanted, Idempotency_Key=new_id(), **headers)


def place(client, sku, **more) -> dict:
    """An order of two pieces, ten pounds in all."""
    answer = try_to_place(client, body(sku, **more))
    assert answer.status == 201, answer
    return answer.json


def tell(bus, what: str, order_id: str, version: int = 1, **fields) -> str:
    return bus.tell(f"{what}.{order_id}", message(TYPES[what], order_id=order_id, version=version, **fields))


def reserve(bus, order_id) -> str:
    return tell(bus, "inventory.reserved", order_id)


def confirm(bus, order_id, amount=1000) -> str:
    return tell(bus, "payments.confirmed", order_id, payment_id=new_id(), amount_minor=amount, currency="GBP")


def pay_back(bus, refund) -> str:
    """What payment tells of a RefundRequested."""
    return tell(bus, "payments.refunded", refund.order_id, 2, payment_id=new_id(), refund_id=refund.refund_id,
                amount_minor=refund.amount_minor, currency="GBP", refunded_minor=refund.amount_minor)


def refuse_to_pay_back(bus, refund, reason="the card is gone") -> str:
    """What payment tells of a RefundRequested whose provider refuses it for ever."""
    return tell(bus, "payments.refund_failed", refund.order_id, 2, payment_id=new_id(), refund_id=refund.refund_id,
                amount_minor=refund.amount_minor, currency="GBP", reason=reason)


def parcel() -> dict:
    return {"shipment_id": new_id(), "carrier": "test", "tracking_number": f"SK{new_id()[-6:]}"}


def read(client, order_id) -> dict:
    answer = client.get(f"/v1/orders/{order_id}")
    assert answer.status == 200, answer
    return answer.json


def reaches(client, order_id, status) -> dict:
    eventually(f"it is {status}", lambda: read(client, order_id)["status"] == status)
    return read(client, order_id)
