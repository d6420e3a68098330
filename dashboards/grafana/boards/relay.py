"""The board of relays: what order systems have got of a sale's changes, and what waits."""

from kit import add, board, graph, query


def relay():
    built = board(
        "launchgate-relay",
        "Relay",
        "Relays, which deliver every change of a sale to order systems.",
        "launchgate_relay_lag_seconds",
    )
    add(
        built,
        "Order systems",
        graph(
            "Lag",
            "Age of the oldest change that is not delivered; 0 when there is none.",
            "s",
            query("max by (sale, reader) (launchgate_relay_lag_seconds{G})", "{{sale}} {{reader}}"),
            limit=30,
        ),
        graph(
            "Changes not delivered",
            "Changes of the ledger, or of a webhook's outbox, that wait.",
            "none",
            query("max by (sale, reader) (launchgate_relay_lag_changes{G})", "{{sale}} {{reader}}"),
        ),
        graph(
            "Delivered",
            "Changes delivered a second, and changes taken back because the ledger lost them.",
            "ops",
            query("sum by (sale, reader) (rate(launchgate_relay_delivered_total{G}[R]))", "{{sale}} {{reader}}"),
            query("sum by (sale, reader) (rate(launchgate_relay_rescinded_total{G}[R]))", "{{sale}} {{reader}}, rescinded"),
        ),
        graph(
            "Parked and dead letters",
            "Reservations whose webhooks wait for another attempt, and webhooks whose last attempt has failed.",
            "none",
            query("max by (sale, reader) (launchgate_relay_parked{G})", "{{sale}} {{reader}}, parked"),
            query("max by (sale, reader) (launchgate_relay_dead_letters{G})", "{{sale}} {{reader}}, dead letters"),
        ),
        graph(
            "Failures",
            "What went wrong a second, by cause; a relay tries again.",
            "ops",
            query("sum by (reader, cause) (rate(launchgate_relay_failures_total{G}[R]))", "{{reader}} {{cause}}"),
        ),
        graph(
            "Leases",
            "Relays that deliver, for each sale and reader: one. The others wait to take over.",
            "none",
            query("sum by (sale, reader) (launchgate_relay_lease_held{G})", "{{sale}} {{reader}}"),
        ),
    )
    return built
