"""The board for launch day: availability, outcomes, stock, and the balance of the ledger."""

from kit import BAD, GOOD, PLAIN, WARN, Mark, add, board, cells, density, figure, graph, in_words, quantiles, query, rows, timeline

TAPS = "launchgate_taps_total{S}"
DURATION = "launchgate_tap_duration_seconds_bucket"
ALERTS = 'ALERTS{alertname=~"Launchgate.+", alertname!="LaunchgateWatchdog", alertstate="firing"}'
# The states of a sale, the one that needs an operator most last: gateways may differ for a moment.
STATES = {
    "upcoming": ("Upcoming", "blue"),
    "open": ("Open", GOOD),
    "sold_out": ("Sold out", PLAIN),
    "closed": ("Closed", PLAIN),
    "paused": ("Paused", BAD),
    "fenced": ("Fenced", BAD),
    "halted": ("Halted", BAD),
}
STATE = " or ".join(
    f'(launchgate_sale_phase{{S, phase="{phase}"}} == 1) * {number}' for number, phase in enumerate(STATES, 1)
)
STATE_WORDS = {str(number): word for number, word in enumerate(STATES.values(), 1)}
# The stages of a draw, in order: the one that is furthest counts.
DRAW_STAGES = {"announced": "Announced", "fixed": "Entrants fixed", "drawn": "Drawn", "allocated": "Allocated"}
DRAW_STAGE = " or ".join(
    f'(launchgate_draw_stage{{S, stage="{stage}"}} == 1) * {number}' for number, stage in enumerate(DRAW_STAGES, 1)
)
DRAW_WORDS = {str(number): (word, PLAIN) for number, word in enumerate(DRAW_STAGES.values(), 1)}
# What watches besides the scrapes of gateways: nothing fires where one of them is not configured.
WATCHERS = {"probe": "probes", "node": "hosts", "redis": "Redises", "alertmanager": "Alertmanagers"}
# An operator's pause as `name: reason`; without one, words that say so.
PAUSED = (
    'label_join(max by (by, reason) (launchgate_sale_paused_info{S}), "pause", ": ", "by", "reason")'
    ' or on () label_replace(vector(0), "pause", "not paused", "", "")'
)


def launch():
    built = board(
        "launchgate-launch",
        "Launch",
        "Launch day on one screen. dashboards/RUNBOOK.md explains each alert.",
        "launchgate_sale_opens_timestamp_seconds",
        "probe_success",
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
        rows(
            "Firing alerts",
            "Firing alerts of Launchgate, all sales. The runbook has a paragraph for each.",
            "none",
            cells(f"max by (severity, alertname, sale, instance) ({ALERTS})"),
            names={"alertname": "Alert", "severity": "Severity", "sale": "Sale", "instance": "Instance"},
            hidden=("Value",),
            columns={"Severity": in_words({"critical": ("critical", BAD), "warning": ("warning", WARN)})},
            width=24,
            height=5,
        ),
        figure(
            "Phase",
            "The state of this sale, as buyers see it: fenced after a restart of Redis, halted while the ledger is damaged.",
            "none",
            query(f"max({STATE})", "state"),
            words=STATE_WORDS,
            width=4,
        ),
        figure(
            "Paused",
            "The operator who has paused this sale, and why.",
            "none",
            query(PAUSED, "{{pause}}"),
            colours=((None, PLAIN), (1, BAD)),
            name=True,
            width=8,
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
            "Alerts",
            "Firing alerts of Launchgate, all sales.",
            "none",
            query(f"count({ALERTS}) or vector(0)", "firing"),
            colours=((None, GOOD), (1, BAD)),
            width=4,
        ),
        figure(
            "Taps", "Reservation requests a second.", "reqps", query(f"sum(rate({TAPS}[R]))", "taps"), width=4
        ),
        figure(
            "Won",
            "Won reservations a second.",
            "reqps",
            query('sum(rate(launchgate_taps_total{S, outcome="won"}[R]))', "won"),
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
            query('sum(rate(launchgate_taps_total{S, outcome="outcome-unknown"}[R]))', "unknown"),
            colours=((None, GOOD), (0.001, BAD)),
            width=4,
        ),
        figure(
            "Ledger",
            "The last full audit, by any gateway: free + aside + held + confirmed - total, over all items.",
            "none",
            query("max(launchgate_ledger_drift{S})", "drift"),
            colours=((None, WARN), (0, GOOD), (1, BAD)),
            words={"-1": ("not audited yet", WARN), "0": ("balanced", GOOD)},
            width=8,
        ),
        figure(
            "Gateways ready",
            "Ready gateways among those that Prometheus scrapes, and live gateways.",
            "none",
            query("sum(launchgate_ready{G})", "ready"),
            query("max(launchgate_fleet_gateways{G})", "live in Redis"),
            width=8,
        ),
        figure(
            "Seen from outside",
            "Whether a probe gets the sale through the public address (job `probe`).",
            "none",
            query("min(probe_success{G})", "probe"),
            words={"0": ("unreachable", BAD), "1": ("reachable", GOOD)},
            width=8,
        ),
        figure(
            "Watched by",
            "Targets of Prometheus that answer, of all jobs: probes from outside, hosts, Redises, Alertmanagers. 0: none is"
            " configured, or none answers, and its alerts can't fire.",
            "none",
            *(query(f'count(up{{job="{job}"}} == 1) or vector(0)', name) for job, name in WATCHERS.items()),
            colours=((None, WARN), (1, GOOD)),
            width=24,
        ),
        timeline(
            "State over time",
            "The state of this sale over the shown time.",
            STATE_WORDS,
            query(f"max({STATE})", "state"),
        ),
    )
    add(
        built,
        "Responses to buyers",
        graph(
            "Answers to taps",
            "Responses to reservation requests of this sale, by outcome; those that do not occur are left out.",
            "reqps",
            query(f"sum by (outcome) (rate({TAPS}[R])) > 0", "{{outcome}}"),
            width=12,
            stacked=True,
        ),
        density(
            "Latency of taps",
            "From a request's head to its response, of this sale: how many taps took how long.",
            f"{DURATION}{{S}}",
            width=12,
        ),
        graph(
            "Winners wait",
            "From a request's head to its response, for 201 and 200.",
            "s",
            *quantiles(f'{DURATION}{{S, result="won"}}', 0.5, 0.99),
        ),
        graph(
            "Losers wait",
            "From a request's head to its response, for refusals: sold out, purchase limit, not open, paused, closed.",
            "s",
            *quantiles(f'{DURATION}{{S, result="refused"}}', 0.5, 0.99),
        ),
        graph(
            "Shed, limited, unknown",
            "Taps without a decision: shed under load (503), over a rate limit (429), outcome unknown (503), internal errors (500).",
            "reqps",
            query(
                'sum by (outcome) (rate(launchgate_taps_total{S, outcome=~"temporary-reduced-capacity|quota-exceeded|outcome-unknown|internal"}[R]))',
                "{{outcome}}",
            ),
        ),
        graph(
            "Probes from outside",
            "How long a probe through the public address takes, by probe.",
            "s",
            query("max by (instance) (probe_duration_seconds{G})", "{{instance}}"),
            width=24,
            height=6,
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
            "Sign-ups",
            "Buyers who are signed up, in a sale that takes sign-ups.",
            "locale",
            query("max(launchgate_signed_up{S})", "signed up"),
            width=12,
        ),
        graph(
            "Draw",
            "Entrants of the draw, in a sale that sells by one, and how many of them were served, in the order of rank.",
            "locale",
            query("max(launchgate_draw_entrants{S})", "entrants"),
            query("max(launchgate_draw_allocated{S})", "allocated"),
            width=12,
        ),
        figure(
            "Stage of the draw",
            "How far the draw is: announced, its entrants are fixed at the end of sign-up, drawn, and all is allocated.",
            "none",
            query(f"max({DRAW_STAGE})", "stage"),
            words=DRAW_WORDS,
            width=12,
            height=8,
        ),
        graph(
            "Standby",
            "Buyers who wait for a model, in a sale with standby queues.",
            "locale",
            query("max by (item) (launchgate_standby_waiting{S})", "{{item}}"),
            width=12,
        ),
        graph(
            "Set aside",
            "Units that came back and wait for a grant: above 0 for seconds only, unless grants are suspended or the sale is paused.",
            "locale",
            query("max by (item) (launchgate_standby_aside{S})", "{{item}}"),
            query("max(launchgate_standby_suspended{S})", "grants are suspended"),
            width=12,
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
            "free + aside + held + confirmed - total must be 0 for each item. Items without a limit have no total.",
            "none",
            cells('max by (item) (launchgate_stock_units{S, state="total"})'),
            cells('max by (item) (launchgate_stock_units{S, state="free"})'),
            cells('max by (item) (launchgate_stock_units{S, state="held"})'),
            cells('max by (item) (launchgate_stock_units{S, state="confirmed"})'),
            cells(
                'sum by (item) (max by (item, state) (launchgate_stock_units{S, state=~"free|held|confirmed"}))'
                ' + (max by (item) (launchgate_standby_aside{S})'
                ' or 0 * max by (item) (launchgate_stock_units{S, state="total"}))'
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
    )
    return built
