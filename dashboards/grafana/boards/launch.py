"""The board for launch day: is it up, is it fair, is it selling, does the ledger add up."""

from kit import BAD, GOOD, WARN, Mark, add, board, cells, figure, graph, quantiles, query, rows

TAPS = 'launchgate_requests_total{G, route="reserve"}'
DURATION = "launchgate_request_duration_seconds_bucket"


def launch():
    built = board(
        "launchgate-launch",
        "Launch",
        "Launch day on one screen. What each alert means stands in dashboards/RUNBOOK.md.",
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
            "What gateways tell buyers of this sale.",
            "none",
            query("max by (phase) (launchgate_sale_phase{S}) == 1", "{{phase}}"),
            name=True,
            width=4,
        ),
        figure(
            "Opens in",
            "Until the opening, by the clock of Redis, which decides it. Negative: since then.",
            "dthms",
            query("max(launchgate_sale_opens_timestamp_seconds{S}) - max(launchgate_ledger_timestamp_seconds{S})", "opens in"),
            width=4,
        ),
        figure(
            "Closes in",
            "Until the closing instant, by the clock of Redis.",
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
            "Alerts of Launchgate that fire, all sales.",
            "none",
            query('count(ALERTS{alertname=~"Launchgate.+", alertstate="firing"}) or vector(0)', "firing"),
            colours=((None, GOOD), (1, BAD)),
            width=4,
        ),
        figure(
            "Gateways ready",
            "Gateways that take taps, of those that Prometheus reads.",
            "none",
            query("sum(launchgate_ready{G})", "ready"),
            query("max(launchgate_fleet_gateways{G})", "alive in Redis"),
            width=4,
        ),
        figure(
            "Taps", "New reservations that were asked for, a second.", "reqps", query(f"sum(rate({TAPS}[R]))", "taps"), width=4
        ),
        figure(
            "Won",
            "New reservations that were taken, a second.",
            "reqps",
            query('sum(rate(launchgate_requests_total{G, route="reserve", outcome="won"}[R]))', "won"),
            width=4,
        ),
        figure(
            "Left",
            "Units of all models that nobody holds.",
            "locale",
            query('sum(max by (item) (launchgate_stock_units{S, item=~"model:.+", state="free"}))', "free"),
            width=4,
        ),
        figure(
            "Held",
            "Reservations that are not yet paid.",
            "locale",
            query('max(launchgate_reservations{S, state="held"})', "held"),
            width=4,
        ),
        figure(
            "Confirmed",
            "Reservations that are paid.",
            "locale",
            query('max(launchgate_reservations{S, state="confirmed"})', "confirmed"),
            width=4,
        ),
        figure(
            "Unknown outcomes",
            "Buyers who were told that nobody knows yet whether they won, a second.",
            "reqps",
            query('sum(rate(launchgate_requests_total{G, outcome="outcome-unknown"}[R]))', "unknown"),
            colours=((None, GOOD), (0.001, BAD)),
            width=4,
        ),
    )
    add(
        built,
        "What buyers are told",
        graph(
            "Answers to taps",
            "Answers to new reservations, by outcome; those that do not occur are left out.",
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
            "From a request's head to its answer, of who was told 201 or 200.",
            "s",
            *quantiles(f'{DURATION}{{G, outcome=~"won|replayed"}}', 0.5, 0.99),
        ),
        graph(
            "Losers wait",
            "From a request's head to its answer, of who was told no: sold out, over his limit, not open, paused, closed.",
            "s",
            *quantiles(f'{DURATION}{{G, outcome=~"sold-out|purchase-limit|sale-not-open|sale-paused|sale-closed"}}', 0.5, 0.99),
        ),
        graph(
            "Told to come back",
            "Shed (too much at once) and limited (this buyer, address or sale asks too often).",
            "reqps",
            query("sum(rate(launchgate_shed_total{G}[R]))", "shed"),
            query("sum(rate(launchgate_limited_total{G}[R]))", "limited"),
        ),
    )
    add(
        built,
        "Stock",
        graph(
            "What is left",
            "Free units of each model and package that has a limit.",
            "locale",
            query('max by (item) (launchgate_stock_units{S, state="free"})', "{{item}}"),
            width=12,
        ),
        graph(
            "Reservations",
            "All reservations that ever were, by their present state.",
            "locale",
            query("max by (state) (launchgate_reservations{S})", "{{state}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Stores",
            "Stores by what is left of their pick-up slots.",
            "locale",
            query("max by (availability) (launchgate_stores{S})", "{{availability}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Pick-up slots",
            "Slots of all stores together.",
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
            "Drift of the last audit (-1: none yet), units below zero, counters that differ from the journal, a ledger that is refused.",
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
            "Entries of the journal, a second. One entry is one batch of taps, or one other change. Again: what Redis had lost in a failover, as it was (appended), or in the place of what nobody knew (lost).",
            "ops",
            query("max(deriv(launchgate_ledger_sequence{S}[R]))", "changes"),
            query("sum by (change) (rate(launchgate_ledger_replayed_total{S}[R]))", "again: {{change}}"),
        ),
        graph(
            "Holds due",
            "Holds whose time and grace are over and whose stock is not free yet.",
            "locale",
            query("max(launchgate_holds_due{S})", "due"),
        ),
        graph(
            "Sweeping",
            "How long ago the oldest due hold should have ended, and since when no gateway's tick has worked.",
            "s",
            query("max(launchgate_oldest_due_seconds{S})", "oldest due"),
            query("min(launchgate_sweep_lag_seconds{S})", "since the last tick"),
        ),
        graph(
            "Age of the last audit",
            "Since any gateway has finished a full audit.",
            "s",
            query(
                "max(launchgate_ledger_timestamp_seconds{S}) - max(launchgate_ledger_audited_timestamp_seconds{S} > 0)", "audit"
            ),
        ),
        graph(
            "Age of what gateways know",
            "Of each gateway's memory. Beyond 1 s it asks Redis about every tap; beyond 3 s it is not ready.",
            "s",
            query("max by (instance) (launchgate_snapshot_age_seconds{S})", "{{instance}}"),
            limit=1,
        ),
        figure(
            "Sale clock",
            "Whether a lever has stopped the clock that holds run by.",
            "none",
            query("max(launchgate_sale_frozen{S})", "frozen"),
            words={"0": ("runs", GOOD), "1": ("frozen", WARN)},
            width=8,
            height=8,
        ),
        rows(
            "Alerts that fire",
            "Alerts of Launchgate, all sales. The runbook has a paragraph for each.",
            "none",
            cells('max by (alertname, severity, sale, instance) (ALERTS{alertname=~"Launchgate.+", alertstate="firing"})'),
            names={"alertname": "Alert", "severity": "Severity", "sale": "Sale", "instance": "Instance"},
            hidden=("Value",),
            width=24,
        ),
    )
    return built
