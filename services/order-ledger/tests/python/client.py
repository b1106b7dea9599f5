"""Places an order, watches it through its life and reads it back, with nothing but what grpcio generates.

    python client.py HOST:PORT

The generated modules must be on PYTHONPATH; docs/clients.md says how to make them. Prints one JSON document.
"""

import json
import sys
import threading
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from orderledger.v1 import order_ledger_pb2 as api
from orderledger.v1 import order_ledger_pb2_grpc
from orderledger.v1 import order_pb2
from seed import order_service_pb2, order_service_pb2_grpc

SECONDS = 60


def details():
    return order_pb2.OrderDetails(
        currency_code="EUR",
        lines=[
            order_pb2.OrderLine(sku="MUG-01", name="Mug", quantity=2, unit_price_minor=1250),
            order_pb2.OrderLine(sku="TEA-07", name="Tea", quantity=1, unit_price_minor=499),
        ],
        customer=order_pb2.Customer(email="ana@example.com", name="Ana", locale="es-CL"),
        shipping_address="Av. Providencia 1234, Santiago",
        region="Metropolitana",
        payment=order_pb2.Payment(gateway="Webpay", card_brand="Visa"),
        labels={"channel": "python"},
    )


def state(number):
    return order_pb2.OrderState.Name(number)


def ship(ledger, order_id, number, lines):
    return ledger.RecordShipped(
        api.RecordShippedRequest(
            order_id=order_id,
            request_id=str(uuid.uuid4()),
            parcel=order_pb2.Parcel(carrier="Chilexpress", tracking_number=number),
            lines=lines,
            wait_for=api.WAIT_FOR_APPLIED,
        ),
        timeout=SECONDS,
    )


def refusal(call):
    """The code of a call that must fail, and its google.rpc.ErrorInfo."""
    try:
        call()
    except grpc.RpcError as error:
        info = error_details_pb2.ErrorInfo()
        for detail in rpc_status.from_call(error).details:
            if detail.Unpack(info):
                break
        return {"code": error.code().name, "reason": info.reason, "metadata": dict(info.metadata)}
    raise AssertionError("the call was not refused")


def main(address):
    with grpc.insecure_channel(address) as channel:
        ledger = order_ledger_pb2_grpc.OrderLedgerStub(channel)

        request = api.PlaceOrderRequest(
            request_id=str(uuid.uuid4()), details=details(), wait_for=api.WAIT_FOR_APPLIED, actor="client.py"
        )
        placed = ledger.PlaceOrder(request, timeout=SECONDS)
        repeated = ledger.PlaceOrder(request, timeout=SECONDS)
        order_id = placed.order_id

        watched = []
        begun = threading.Event()

        def watch():
            for update in ledger.WatchOrder(api.WatchOrderRequest(order_id=order_id), timeout=SECONDS):
                watched.append([update.order.version, state(update.order.state), update.change.event_type])
                begun.set()
                if update.order.state == order_pb2.ORDER_STATE_DELIVERED:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        if not begun.wait(SECONDS):
            raise AssertionError("the watch did not begin")

        too_early = refusal(
            lambda: ledger.RecordDelivered(api.RecordDeliveredRequest(order_id=order_id), timeout=SECONDS)
        )
        ledger.RecordPaymentCaptured(
            api.RecordPaymentCapturedRequest(
                order_id=order_id,
                request_id=str(uuid.uuid4()),
                amount=order_pb2.Money(currency_code="EUR", minor_units=2999),
                reference="webpay-1",
                wait_for=api.WAIT_FOR_APPLIED,
            ),
            timeout=SECONDS,
        )
        ledger.RecordPreparationStarted(
            api.RecordPreparationStartedRequest(order_id=order_id, wait_for=api.WAIT_FOR_APPLIED), timeout=SECONDS
        )
        part = ship(ledger, order_id, "CX-1", [order_pb2.LineQuantity(line=1, quantity=1)])
        rest = ship(ledger, order_id, "CX-2", [])
        delivered = ledger.RecordDelivered(api.RecordDeliveredRequest(order_id=order_id), timeout=SECONDS)

        order = ledger.GetOrder(
            api.GetOrderRequest(order_id=order_id, not_before=delivered.position), timeout=SECONDS
        ).order
        as_it_was = ledger.GetOrder(api.GetOrderRequest(order_id=order_id, version=2), timeout=SECONDS).order
        history = ledger.GetOrderHistory(
            api.GetOrderHistoryRequest(order_id=order_id, not_before=delivered.position), timeout=SECONDS
        )
        watcher.join(SECONDS)

        older = order_service_pb2_grpc.OrderServiceStub(channel).PlaceOrder(
            order_service_pb2.OrderRequest(
                product_name="Mug",
                price=6990.0,
                payment_gateway="Webpay",
                card_brand="Visa",
                bank="Estado",
                shipping_address="Av. Providencia 1234, Santiago",
                region="Metropolitana",
                email="ana@example.com",
            ),
            timeout=SECONDS,
        )

    print(
        json.dumps(
            {
                "order_id": order_id,
                "repeated": {"order_id": repeated.order_id, "same_position": repeated.position == placed.position},
                "watched": watched,
                "too_early": too_early,
                "after_each_shipment": [state(part.order.state), state(rest.order.state)],
                "order": {"version": order.version, "state": state(order.state), "total_minor": order.total_minor},
                "as_it_was": state(as_it_was.state),
                "history": [
                    [entry.event.WhichOneof("body"), api.EventOutcome.Name(entry.outcome)] for entry in history.entries
                ],
                "older_contract": {"status": older.status, "order_id": older.order_id},
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
