"""Users of the order ledger, for Locust: start it with `locust` beside this file; README.md says what they do.

Every call is a request of Locust's statistics: its type is the class of the user, its name the method. One that fails is a
failure with gRPC's code and, if the server gave one, its reason.
"""

import logging
import os
import random
import time
import uuid

import gevent
import grpc
import grpc.experimental.gevent as grpc_gevent
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from locust import User, between, events, task
from orderledger.v1 import order_ledger_pb2 as api
from orderledger.v1 import order_ledger_pb2_grpc, order_pb2
from seed import order_service_pb2, order_service_pb2_grpc

# Before the first channel: from here on a call that waits lets other users go on.
grpc_gevent.init_gevent()

# How long a call may take, and an order that is watched.
CALL_SECONDS = 10
WATCH_SECONDS = 60

REGIONS = [
    ("Metropolitana", "Santiago"),
    ("Valparaíso", "Viña del Mar"),
    ("Biobío", "Concepción"),
    ("Los Lagos", "Puerto Montt"),
]
GATEWAYS = ["Webpay", "MercadoPago", "PayPal", "Stripe"]
CARDS = ["Visa", "Mastercard", "Amex"]
BANKS = ["Banco de Chile", "BancoEstado", "Santander", "BCI"]
NAMES = ["Ana Soto", "Benjamín Rojas", "Carla Díaz", "Diego Pérez"]
# With the price of the cheapest thing, in minor units.
CURRENCIES = [("CLP", 2990), ("USD", 399), ("EUR", 349)]
# With how many times the cheapest thing they cost.
GOODS = [("MUG-01", "Mug", 2), ("TEA-07", "Tea", 1), ("BAG-TOTE", "Tote bag", 3), ("LAMP-3", "Lamp", 17)]


@events.init_command_line_parser.add_listener
def add_arguments(parser):
    parser.add_argument(
        "--load-test-type",
        env_var="LOAD_TEST_TYPE",
        default="locust",
        help="What this test is called: the label load_test_type of its orders [default: locust]",
    )


@events.init.add_listener
def wind_clock(**_):
    # The loop's clock stood still while the modules above were loaded: a short --run-time would be over at once.
    gevent.get_hub().loop.update_now()


@events.test_start.add_listener
def tell_type(environment, **_):
    logging.getLogger(__name__).info("load_test_type: %s", load_test_type(environment))


def load_test_type(environment):
    # Whoever uses this file as a library has no command line.
    return getattr(environment.parsed_options, "load_test_type", "locust")


class Refused(Exception):
    """A call that failed. Its text is the code and the reason alone, so that Locust counts like with like."""


def refused(error):
    text = error.code().name
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else []:
        if detail.Unpack(info) and info.reason:
            text = f"{text} {info.reason}"
            break
    return Refused(text)


class LedgerUser(User):
    """What all users share: a channel, and calls that are counted."""

    abstract = True
    host = os.environ.get("ORDER_LEDGER_SERVER", "http://127.0.0.1:50051")
    wait_time = between(0.1, 1)

    def on_start(self):
        self.load_test_type = load_test_type(self.environment)
        self.channel = grpc.insecure_channel(self.host.removeprefix("http://").rstrip("/"))
        self.ledger = order_ledger_pb2_grpc.OrderLedgerStub(self.channel)
        self.older = order_service_pb2_grpc.OrderServiceStub(self.channel)

    def on_stop(self):
        self.channel.close()

    def call(self, name, make):
        """Makes a call and counts it; None if it failed."""
        began, response, failure = time.perf_counter(), None, None
        try:
            response = make()
        except grpc.RpcError as error:
            failure = refused(error)
        self.environment.events.request.fire(
            request_type=type(self).__name__,
            name=name,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=response.ByteSize() if response else 0,
            response=response,
            context={**self.context(), "load_test_type": self.load_test_type},
            exception=failure,
        )
        return response

    def unary(self, method, request):
        """Calls a method of the ledger by its name."""
        return self.call(method, lambda: getattr(self.ledger, method)(request, timeout=CALL_SECONDS))

    def place(self, wait_for):
        return self.unary(
            "PlaceOrder",
            api.PlaceOrderRequest(
                request_id=str(uuid.uuid4()), details=self.details(), wait_for=wait_for, actor="locust"
            ),
        )

    def details(self):
        currency, price = random.choice(CURRENCIES)
        region, town = random.choice(REGIONS)
        customer = random.randrange(1000)
        return order_pb2.OrderDetails(
            currency_code=currency,
            lines=[
                order_pb2.OrderLine(
                    sku=sku, name=name, quantity=random.randint(1, 3), unit_price_minor=price * times
                )
                for sku, name, times in random.sample(GOODS, random.randint(1, 3))
            ],
            customer=order_pb2.Customer(
                email=f"locust-{customer}@example.com", name=NAMES[customer % len(NAMES)], locale="es-CL"
            ),
            shipping_address=f"Av. Providencia {random.randint(1, 2000)}, {town}",
            region=region,
            payment=order_pb2.Payment(
                gateway=random.choice(GATEWAYS), card_brand=random.choice(CARDS), bank=random.choice(BANKS)
            ),
            labels={"load_test_type": self.load_test_type},
        )


class Shopper(LedgerUser):
    """Places orders."""

    weight = 6

    @task
    def shop(self):
        self.place(api.WAIT_FOR_LOGGED)


class Tracker(LedgerUser):
    """Places an order and watches it while it is paid, prepared, shipped and delivered."""

    weight = 2

    @task
    def follow(self):
        placed = self.place(api.WAIT_FOR_APPLIED)
        if placed is None:
            return
        watch = self.ledger.WatchOrder(
            api.WatchOrderRequest(order_id=placed.order_id), timeout=WATCH_SECONDS
        )
        try:
            self.live(placed.order_id, watch)
        finally:
            watch.cancel()

    def live(self, order_id, watch):
        if self.see("WatchOrder", watch, order_pb2.ORDER_STATE_PLACED) is None:
            return
        for method, request, state in [
            ("RecordPaymentCaptured", api.RecordPaymentCapturedRequest(), order_pb2.ORDER_STATE_PAID),
            ("RecordPreparationStarted", api.RecordPreparationStartedRequest(), order_pb2.ORDER_STATE_PREPARING),
            (
                "RecordShipped",
                api.RecordShippedRequest(
                    parcel=order_pb2.Parcel(carrier="Chilexpress", tracking_number=f"CX-{order_id[:8]}")
                ),
                order_pb2.ORDER_STATE_SHIPPED,
            ),
            ("RecordDelivered", api.RecordDeliveredRequest(), order_pb2.ORDER_STATE_DELIVERED),
        ]:
            request.order_id, request.request_id, request.actor = order_id, str(uuid.uuid4()), "locust"
            if self.unary(method, request) is None:
                return
            # From when the call was answered until the change was seen.
            if self.see("WatchOrder, a change", watch, state) is None:
                return
        self.unary("GetOrderHistory", api.GetOrderHistoryRequest(order_id=order_id))

    def see(self, name, watch, state):
        """The update after which the order is in that state; None if the watch broke off before."""

        def next_in_state():
            for update in watch:
                if update.order.state == state:
                    return update
            raise Ended()

        return self.call(name, next_in_state)


class Ended(grpc.RpcError):
    """The server ended a watch that has no end."""

    def code(self):
        return grpc.StatusCode.UNAVAILABLE

    def details(self):
        return "the server ended the watch"

    def trailing_metadata(self):
        return ()


class Desk(LedgerUser):
    """Lists and searches orders and looks at one of them."""

    weight = 1

    @task(2)
    def list_and_look(self):
        region, _ = random.choice(REGIONS)
        listed = self.unary("ListOrders", api.ListOrdersRequest(filter=api.OrderFilter(region=region)))
        if listed and listed.orders:
            order_id = random.choice(listed.orders).order_id
            self.unary("GetOrder", api.GetOrderRequest(order_id=order_id))

    @task(1)
    def search(self):
        sku, _, _ = random.choice(GOODS)
        words = random.choice([sku, random.choice(NAMES), self.load_test_type])
        self.unary("SearchOrders", api.SearchOrdersRequest(text=words))


class SeedShopper(LedgerUser):
    """Places orders by the older contract, which has no labels: they are told by the domain of their e-mail address."""

    weight = 3

    @task
    def shop(self):
        region, town = random.choice(REGIONS)
        _, name, times = random.choice(GOODS)
        request = order_service_pb2.OrderRequest(
            product_name=name,
            price=2990.0 * times,
            payment_gateway=random.choice(GATEWAYS),
            card_brand=random.choice(CARDS),
            bank=random.choice(BANKS),
            shipping_address=f"Av. Providencia {random.randint(1, 2000)}, {town}",
            region=region,
            email=f"locust-{random.randrange(1000)}@seed.example.com",
        )
        self.call("OrderService.PlaceOrder", lambda: self.older.PlaceOrder(request, timeout=CALL_SECONDS))
