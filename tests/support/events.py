"""Events as the services tell them, for contract tests that play the other services."""
from support.messages import message, new_id

ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH",
           "country": "GB"}


def reference(order_id: str, version: int, **more) -> dict:
    """What every message of orders begins with."""
    return {"order_id": order_id, "version": version, "number": "S-7", "email": "ada@example.org",
            "total_minor": 1000, "currency": "GBP"} | more


def product_changed(sku: str, price: int = 1000, version: int = 1, quantity: int = 10, **more):
    product = more.pop("product_id", new_id())
    return message("souk.catalog.v1.ProductChanged", product_id=product, version=version,
                   status=more.pop("status", 2), slug=f"p-{product}", title=more.pop("title", "Lamp"),
                   variants=[{"sku": sku, "price_minor": price, "currency": "GBP", "initial_quantity": quantity}])


def lines(sku: str, quantity: int = 1, price: int = 1000) -> list[dict]:
    return [{"sku": sku, "title": "Lamp", "quantity": quantity, "unit_price_minor": price,
             "line_total_minor": price * quantity}]


def order_event(name: str, order_id: str, version: int = 1, **fields):
    return message(f"souk.orders.v1.{name}", **(reference(order_id, version) | fields))
