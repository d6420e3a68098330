"""The board of a load test, from the metrics of its generator."""

from kit import Mark, add, board, figure, graph, quantiles, query

DURATION = "launchgate_loadtest_tap_duration_seconds_bucket"


def loadtest():
    built = board(
        "launchgate-loadtest",
        "Load test",
        "The metrics of load generators: taps from their intended instant to their outcome.",
        "launchgate_loadtest_cpu_ratio",
    )
    built.annotation(
        Mark(
            "Moments",
            "purple",
            "max by (moment) (launchgate_loadtest_moment_timestamp_seconds{G}) * 1000",
            "{{moment}}",
            "of the load test",
        )
    )
    add(
        built,
        "Buyers",
        graph(
            "Taps by outcome",
            "Finished taps a second, of all scenarios, by outcome; outcomes that do not occur are left out.",
            "reqps",
            query("sum by (outcome) (rate(launchgate_loadtest_taps_total{G}[R])) > 0", "{{outcome}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Taps by scenario",
            "Finished taps a second, by scenario; scenarios that do not occur are left out.",
            "reqps",
            query("sum by (scenario) (rate(launchgate_loadtest_taps_total{G}[R])) > 0", "{{scenario}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Winners wait",
            "From a tap's intended instant to its outcome, retries and waits included.",
            "s",
            *quantiles(f'{DURATION}{{G, outcome=~"won|replayed|resolved"}}', 0.5, 0.99),
            width=12,
        ),
        graph(
            "Losers wait",
            "The same for refused taps.",
            "s",
            *quantiles(f'{DURATION}{{G, outcome=~"sold_out|purchase_limit|refused"}}', 0.5, 0.99),
            width=12,
        ),
        graph(
            "Requests",
            "Requests that ended a second, by name: answered, or lost.",
            "reqps",
            query("sum by (name) (rate(launchgate_loadtest_requests_total{G}[R])) > 0", "{{name}}"),
            width=12,
        ),
        graph(
            "Requests wait",
            "From a request's sending to its answer; a lost one counts as long as its client would have waited.",
            "s",
            *quantiles("launchgate_loadtest_request_duration_seconds_bucket{G}", 0.5, 0.99),
            width=12,
        ),
        graph(
            "Journeys wait",
            "From the intended start of a buyer's journey to its end, without the buyer's pauses.",
            "s",
            *quantiles("launchgate_loadtest_journey_duration_seconds_bucket{G}", 0.5, 0.99),
            width=12,
        ),
        graph(
            "Requests by gateway",
            "Requests that ended a second, by the gateway that was asked.",
            "reqps",
            query("sum by (gateway) (rate(launchgate_loadtest_gateway_requests_total{G}[R]))", "{{gateway}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Requests in flight",
            "Requests that were sent and have not ended.",
            "none",
            query("sum(launchgate_loadtest_requests_in_flight{G})", "in flight"),
            width=12,
        ),
        graph(
            "Requests without a decision",
            "Limited, shed, failed, unknown and lost requests a second.",
            "reqps",
            query(
                'sum by (result) (rate(launchgate_loadtest_requests_total{G, result!="decided"}[R]))', "{{result}}"
            ),
            width=12,
        ),
        graph(
            "Answers",
            "Answers a second, by status code.",
            "reqps",
            query("sum by (status) (rate(launchgate_loadtest_answers_total{G}[R])) > 0", "{{status}}"),
            width=12,
            stacked=True,
        ),
        graph(
            "Steps not done",
            "Steps that were refused or undecided, a second, by name: requests with their retries.",
            "ops",
            query(
                'sum by (name, end) (rate(launchgate_loadtest_steps_total{G, end!="done"}[R])) > 0',
                "{{name}} {{end}}",
            ),
            width=12,
        ),
        graph(
            "Retries",
            "Requests beyond each tap's first, a second.",
            "reqps",
            query("sum(rate(launchgate_loadtest_retries_total{G}[R]))", "retries"),
            width=24,
        ),
    )
    add(
        built,
        "The generator",
        graph(
            "Starts",
            "Intended, late and unsent starts a second. Late and unsent starts make a run INVALID.",
            "ops",
            query("sum(rate(launchgate_loadtest_starts_intended_total{G}[R]))", "intended"),
            query("sum(rate(launchgate_loadtest_starts_late_total{G}[R]))", "late"),
            query("sum(rate(launchgate_loadtest_starts_unsent_total{G}[R]))", "unsent"),
        ),
        graph(
            "CPU",
            "Share of the generator's cores in use; near 1 the generator is the limit, not the gateway.",
            "percentunit",
            query("max by (instance) (launchgate_loadtest_cpu_ratio{G})", "{{instance}}"),
            limit=0.9,
        ),
        graph(
            "Timer lag",
            "How late the generator's latest timer was.",
            "s",
            query("max by (instance) (launchgate_loadtest_timer_lag_seconds{G})", "{{instance}}"),
        ),
        graph(
            "Descriptors",
            "Open descriptors of the generator.",
            "none",
            query("max by (instance) (launchgate_loadtest_open_fds{G})", "{{instance}}"),
        ),
        figure(
            "Run",
            "The id of the current run, as its report names it.",
            "none",
            query("max by (run_id, scenario, sale) (launchgate_loadtest_run_info{G})", "{{run_id}} {{scenario}}"),
            width=8,
            height=8,
            name=True,
        ),
        figure(
            "Moments",
            "Start of the current run and opening of the sale, by the server's clock. Afterwards see the marks in the charts.",
            "dateTimeAsLocal",
            query("max by (moment) (launchgate_loadtest_moment_timestamp_seconds{G}) * 1000", "{{moment}}"),
            width=8,
            height=8,
        ),
    )
    return built
