"""The board for launch day: availability, outcomes, stock, and the balance of the ledger."""

from kit import BAD, GOOD, WARN, Mark, add, board, cells, figure, graph, quantiles, query, rows

TAPS = 'launchgate_requests_total{G, route="reserve"}'
DURATION = "launchgate_request_duration_seconds_bucket"


def launch():
    built = board(
        "launchgate-launch",
        "Launch",
        "Launch day on one screen. dashboards/RUNBOOK.md explains each alert.",
        "launchgate_sale_opens_timestamp_seconds",
        sale=True,
    )
    built.annotation(
        Mark("T0", "green", "max by (sale) (launchgate_sale_opens_timestamp_seconds{S}) * 1000", "{{sale}} opens", "T0")
    )
    built.annotation(
        Mark("Closing", "blue", "max by (sale) (launchgate_sale_closes_timestamp_seconds{S}) * 1000", "{{sale}} closes", "")
    )
    built.annotation(
        Mark(
            "Critical alerts",
            "red",
            'max by (alertname) (ALERTS{alertname=~"Launchgate.+", alertstate="firing", severity="critical"})',
            "{{alertname}}",
            "",
            value_is_time=False,
        )
    )
    add(
        built,
        "Now",
        figure(
            "Phase",
            "The phase of this sale as buyers see it.",
            "none",
            query("max by (phase) (launchgate_sale_phase{S}) == 1", "{{phase}}"),
            name=True,
            width=4,
        ),
        figure(
            "Opens in",
            "Time to the opening, by the clock of Redis. Negative: time since then.",
            "dthms",
            query("max(launchgate_sale_opens_timestamp_seconds{S}) - max(launchgate_ledger_timestamp_seconds{S})", "opens in"),
            width=4,
        ),
        figure(
            "Closes in",
            "Time to the closing, by the clock of Redis.",
            "dthms",
            query(
                "max(launchgate_sale_closes_timestamp_seconds{S}) - max(launchgate_ledger_timestamp_seconds{S})", "closes in"
            ),
            width=4,
        ),
        figure(
            "Ledger",
            "The last full audit, by any gateway: free + held + confirmed - total, over all items.",
            "none",
            query("max(launchgate_ledger_drift{S})", "drift"),
            colours=((None, WARN), (0, GOOD), (1, BAD)),
            words={"-1": ("not audited yet", WARN), "0": ("balanced", GOOD)},
            width=4,
        ),
        figure(
            "Alerts",
            "Firing alerts of Launchgate, all sales.",
            "none",
            query('count(ALERTS{alertname=~"Launchgate.+", alertstate="firing"}) or vector(0)', "firing"),
            colours=((None, GOOD), (1, BAD)),
            width=4,
        ),
        figure(
            "Gateways ready",
            "Ready gateways among those that Prometheus scrapes, and live gateways.",
            "none",
            query("sum(launchgate_ready{G})", "ready"),
            query("max(launchgate_fleet_gateways{G})", "live in Redis"),
            width=4,
        ),
        figure(
            "Taps", "Reservation requests a second.", "reqps", query(f"sum(rate({TAPS}[R]))", "taps"), width=4
        ),
        figure(
            "Won",
            "Won reservations a second.",
            "reqps",
            query('sum(rate(launchgate_requests_total{G, route="reserve", outcome="won"}[R]))', "won"),
            width=4,
        ),
        figure(
            "Left",
            "Free units of all models.",
            "locale",
            query('sum(max by (item) (launchgate_stock_units{S, item=~"model:.+", state="free"}))', "free"),
            width=4,
        ),
        figure(
            "Held",
            "Held reservations, not yet paid.",
            "locale",
            query('max(launchgate_reservations{S, state="held"})', "held"),
            width=4,
        ),
        figure(
            "Confirmed",
            "Confirmed reservations, paid.",
            "locale",
            query('max(launchgate_reservations{S, state="confirmed"})', "confirmed"),
            width=4,
        ),
        figure(
            "Unknown outcomes",
            "Taps without a definite outcome (503 outcome-unknown) a second.",
            "reqps",
            query('sum(rate(launchgate_requests_total{G, outcome="outcome-unknown"}[R]))', "unknown"),
            colours=((None, GOOD), (0.001, BAD)),
            width=4,
        ),
    )
    add(
        built,
        "Responses to buyers",
        graph(
            "Answers to taps",
            "Responses to reservation requests, by outcome; those that do not occur are left out.",
            "reqps",
            query(f"sum by (outcome) (rate({TAPS}[R])) > 0", "{{outcome}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Calls",
            "All calls of apps and services, by route.",
            "reqps",
            query("sum by (route) (rate(launchgate_requests_total{G}[R]))", "{{route}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Winners wait",
            "From a request's head to its response, for 201 and 200.",
            "s",
            *quantiles(f'{DURATION}{{G, outcome=~"won|replayed"}}', 0.5, 0.99),
        ),
        graph(
            "Losers wait",
            "From a request's head to its response, for refusals: sold out, purchase limit, not open, paused, closed.",
            "s",
            *quantiles(f'{DURATION}{{G, outcome=~"sold-out|purchase-limit|sale-not-open|sale-paused|sale-closed"}}', 0.5, 0.99),
        ),
        graph(
            "Shed and limited",
            "Shed under load (503), and over a rate limit of buyer, address or sale (429).",
            "reqps",
            query("sum(rate(launchgate_shed_total{G}[R]))", "shed"),
            query("sum(rate(launchgate_limited_total{G}[R]))", "limited"),
        ),
    )
    add(
        built,
        "Stock",
        graph(
            "Free units",
            "Free units of each model and package that has a limit.",
            "locale",
            query('max by (item) (launchgate_stock_units{S, state="free"})', "{{item}}"),
            width=12,
        ),
        graph(
            "Reservations",
            "All reservations ever made, by present state.",
            "locale",
            query("max by (state) (launchgate_reservations{S})", "{{state}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Stores",
            "Stores by the availability of their pick-up slots.",
            "locale",
            query("max by (availability) (launchgate_stores{S})", "{{availability}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Pick-up slots",
            "Pick-up slots of all stores together.",
            "locale",
            query("max by (state) (launchgate_store_slots{S})", "{{state}}"),
            width=12,
        ),
    )
    add(
        built,
        "Ledger",
        rows(
            "Ledger equation",
            "free + held + confirmed - total must be 0 for each item. Items without a limit have no total.",
            "none",
            cells('max by (item) (launchgate_stock_units{S, state="total"})'),
            cells('max by (item) (launchgate_stock_units{S, state="free"})'),
            cells('max by (item) (launchgate_stock_units{S, state="held"})'),
            cells('max by (item) (launchgate_stock_units{S, state="confirmed"})'),
            cells(
                'sum by (item) (max by (item, state) (launchgate_stock_units{S, state=~"free|held|confirmed"}))'
                ' - max by (item) (launchgate_stock_units{S, state="total"})'
            ),
            names={
                "item": "Item",
                "Value #A": "Total",
                "Value #B": "Free",
                "Value #C": "Held",
                "Value #D": "Confirmed",
                "Value #E": "Difference",
            },
        ),
        graph(
            "What must be zero",
            "Drift of the last audit (-1: none yet), units below zero, counters that differ from the journal, fenced or halted ledger.",
            "none",
            query("max(launchgate_ledger_drift{S})", "drift"),
            query("max(launchgate_ledger_oversold_units{S})", "oversold"),
            query("max(launchgate_ledger_counters_differ{S})", "counters differ"),
            query("max(launchgate_ledger_fault{S})", "fault"),
            width=12,
            signed=True,
        ),
        graph(
            "Changes of the ledger",
            "Journal entries a second: one for a batch of taps, or one other change. Replayed: changes that Redis lost in a failover, the original (appended) or a marker for one that no gateway had (lost).",
            "ops",
            query("max(deriv(launchgate_ledger_sequence{S}[R]))", "changes"),
            query("sum by (change) (rate(launchgate_ledger_replayed_total{S}[R]))", "replayed: {{change}}"),
        ),
        graph(
            "Holds due",
            "Holds past deadline and grace that were not swept yet.",
            "locale",
            query("max(launchgate_holds_due{S})", "due"),
        ),
        graph(
            "Sweeping",
            "Time since the oldest due hold should have expired, and since the last successful tick of any gateway.",
            "s",
            query("max(launchgate_oldest_due_seconds{S})", "oldest due"),
            query("min(launchgate_sweep_lag_seconds{S})", "since the last tick"),
        ),
        graph(
            "Age of the last audit",
            "Time since any gateway finished a full audit.",
            "s",
            query(
                "max(launchgate_ledger_timestamp_seconds{S}) - max(launchgate_ledger_audited_timestamp_seconds{S} > 0)", "audit"
            ),
        ),
        graph(
            "Age of the read models",
            "Age of each gateway's read model. Beyond 1 s it asks Redis about every tap; beyond 3 s it is not ready.",
            "s",
            query("max by (instance) (launchgate_snapshot_age_seconds{S})", "{{instance}}"),
            limit=1,
        ),
        figure(
            "Sale clock",
            "Whether an operator has frozen the clock of hold deadlines.",
            "none",
            query("max(launchgate_sale_frozen{S})", "frozen"),
            words={"0": ("running", GOOD), "1": ("frozen", WARN)},
            width=8,
            height=8,
        ),
        rows(
            "Firing alerts",
            "Firing alerts of Launchgate, all sales. The runbook has a paragraph for each.",
            "none",
            cells('max by (alertname, severity, sale, instance) (ALERTS{alertname=~"Launchgate.+", alertstate="firing"})'),
            names={"alertname": "Alert", "severity": "Severity", "sale": "Sale", "instance": "Instance"},
            hidden=("Value",),
            width=24,
        ),
    )
    return built
