"""Walks through a reservation with the client that openapi-python-client generates, refusals included."""

import os
from datetime import timedelta
from typing import Any, TypeVar

from launchgate import AuthenticatedClient, Client
from launchgate.api.reservations import (
    amend_reservation,
    cancel_reservation,
    confirm_reservation,
    get_reservation,
    list_reservations,
    reserve,
)
from launchgate.api.sales import get_sale, get_time, list_stores
from launchgate.models import (
    AmendRequest,
    ConfirmRequest,
    Phase,
    ProblemForbidden,
    ProblemIdempotencyKeyReused,
    ProblemPaymentConflict,
    ProblemPurchaseLimit,
    ProblemPurchaseLimitReason,
    ProblemReservationChanged,
    ProblemReservationNotHeld,
    ProblemSaleNotFound,
    ProblemSoldOut,
    ProblemUnauthenticated,
    ProblemUnknownItem,
    Reservation,
    ReservationList,
    ReserveRequest,
    Sale,
    State,
    StorePage,
    Time,
)
from launchgate.types import Response

SALE = "small"
T = TypeVar("T")
refusals = 0

url = os.environ["WALK_URL"]
anyone = Client(base_url=url)
buyer = AuthenticatedClient(base_url=url, token=os.environ["WALK_BUYER"])
service = AuthenticatedClient(base_url=url, token=os.environ["WALK_SERVICE"])


def parsed(response: Response[Any], status: int, kind: type[T]) -> T:
    """The body, which has to be of this kind."""
    assert response.status_code == status, response
    assert isinstance(response.parsed, kind), response
    return response.parsed


def refused(response: Response[Any], status: int, kind: type[T]) -> T:
    global refusals
    refusals += 1
    return parsed(response, status, kind)


now = parsed(get_time.sync_detailed(client=anyone), 200, Time).server_time
sale = parsed(get_sale.sync_detailed(SALE, client=anyone), 200, Sale)
assert sale.phase is Phase.OPEN
assert sale.opens_at < now < sale.closes_at
page = list_stores.sync_detailed(SALE, client=anyone, city="GUANGZHOU", available=True)
ids = [store.id for store in parsed(page, 200, StorePage).stores]
assert ids == ["gz-0001"], "the other store is sold out"


def tap(key: str, model: str, store: str) -> Response[Any]:
    body = ReserveRequest(model=model, packages=["cover"], store=store)
    return reserve.sync_detailed(SALE, client=buyer, body=body, idempotency_key=key)


sold_out = refused(tap("first", "air-white", "gz-0002"), 409, ProblemSoldOut)
assert sold_out.items == ["store:gz-0002"]
held = parsed(tap("walk", "air-white", "gz-0001"), 201, Reservation)
assert (held.state, held.version) == (State.HELD, 1)
assert held.expires_at is not None
assert held.expires_at - held.held_at == timedelta(minutes=2)
again = tap("walk", "air-white", "gz-0001")
assert parsed(again, 200, Reservation).id == held.id
assert again.headers["idempotency-replayed"] == "true"
own = parsed(list_reservations.sync_detailed(SALE, client=buyer), 200, ReservationList)
assert len(own.reservations) == 1


def amend() -> Response[Any]:
    body = AmendRequest(store="sh-0001", version=1)
    return amend_reservation.sync_detailed(SALE, held.id, client=buyer, body=body)


amended = parsed(amend(), 200, Reservation)
assert (amended.store, amended.version) == ("sh-0001", 2)
assert refused(amend(), 409, ProblemReservationChanged).version == 2


def confirm(caller: AuthenticatedClient, payment: str) -> Response[Any]:
    body = ConfirmRequest(payment=payment, version=2)
    return confirm_reservation.sync_detailed(SALE, held.id, client=caller, body=body)


refused(confirm(buyer, "pay-1"), 403, ProblemForbidden)
confirmed = parsed(confirm(service, "pay-1"), 200, Reservation)
assert (confirmed.state, confirmed.expires_at) == (State.CONFIRMED, None)
conflict = refused(confirm(service, "pay-2"), 409, ProblemPaymentConflict)
assert conflict.state is State.CONFIRMED

refused(tap("walk", "air-white", "bj-0001"), 422, ProblemIdempotencyKeyReused)
unknown = refused(tap("other", "air-red", "gz-0001"), 422, ProblemUnknownItem)
assert unknown.items == ["model:air-red", "package:cover"]
limit = refused(tap("other", "air-white", "gz-0001"), 409, ProblemPurchaseLimit)
assert (limit.reason, limit.reservations) == (ProblemPurchaseLimitReason.PER_BUYER, [held.id])

cancelled = cancel_reservation.sync_detailed(SALE, held.id, client=service)
assert parsed(cancelled, 200, Reservation).state is State.CANCELLED
not_held = refused(confirm(service, "pay-1"), 409, ProblemReservationNotHeld)
assert not_held.state is State.CANCELLED
read = get_reservation.sync_detailed(SALE, held.id, client=service)
assert parsed(read, 200, Reservation).state is State.CANCELLED

stranger = AuthenticatedClient(base_url=url, token="none")
refused(list_reservations.sync_detailed(SALE, client=stranger), 401, ProblemUnauthenticated)
refused(get_sale.sync_detailed("none", client=anyone), 404, ProblemSaleNotFound)
print(f"the Python client: 1 reservation, {refusals} refusals")
