"""The board of the gateway processes: rates, errors, durations; connections, limits, their view of Redis, the process."""

from kit import BAD, GOOD, add, board, cells, figure, graph, quantiles, query, rows


def gateway():
    built = board("launchgate-gateway", "Gateway", "The gateway processes.", "launchgate_build_info")
    add(
        built,
        "Requests, errors, durations",
        graph(
            "Requests",
            "Responses on the public listener, by route.",
            "reqps",
            query("sum by (route) (rate(launchgate_requests_total{G}[R]))", "{{route}}"),
            stacked=True,
        ),
        graph(
            "Errors",
            "Responses caused by the gateway or Redis: 500, and 503 of either kind.",
            "reqps",
            query(
                'sum by (outcome) (rate(launchgate_requests_total{G, outcome=~"internal|outcome-unknown|temporary-reduced-capacity"}[R]))',
                "{{outcome}}",
            ),
        ),
        graph(
            "Durations",
            "From a request's head to its response, all outcomes.",
            "s",
            *quantiles("launchgate_request_duration_seconds_bucket{G}", 0.5, 0.9, 0.99, 0.999),
        ),
        graph(
            "Outcomes",
            "Responses by outcome; those that do not occur are left out.",
            "reqps",
            query("sum by (outcome) (rate(launchgate_requests_total{G}[R])) > 0", "{{outcome}}"),
            width=12,
        ),
        graph(
            "Requests by gateway",
            "Whether the balancer spreads them evenly.",
            "reqps",
            query("sum by (instance) (rate(launchgate_requests_total{G}[R]))", "{{instance}}"),
            width=12,
        ),
        graph(
            "Bad by objective",
            "Share of bad responses among those that count for each objective: availability (99.9 %), latency of taps (99 % within 250 ms).",
            "percentunit",
            query(
                "1 - sum by (slo) (rate(launchgate_slo_good_total{G}[R])) / sum by (slo) (rate(launchgate_slo_requests_total{G}[R]))",
                "{{slo}}",
            ),
            width=12,
        ),
        graph(
            "Budgets used",
            "Share of the 30-day error budget consumed in the last 3 days, all gateways of the job.",
            "percentunit",
            query('launchgate:slo_bad:ratio_rate3d{job=~"$job", slo="availability"} / 0.001 / 10', "availability"),
            query('launchgate:slo_bad:ratio_rate3d{job=~"$job", slo="latency"} / 0.01 / 10', "latency"),
            width=12,
        ),
    )
    add(
        built,
        "The path of a tap",
        graph(
            "Stages, slowest of a hundred",
            "99th percentile of each stage of new reservations: token, admission, queue, Redis, response.",
            "s",
            query(
                "histogram_quantile(0.99, sum by (le, stage) (rate(launchgate_stage_duration_seconds_bucket{G}[R])))",
                "{{stage}}",
            ),
            log=True,
        ),
        graph(
            "Stages, mean",
            "Mean time of each stage of new reservations, stacked.",
            "s",
            query(
                "sum by (stage) (rate(launchgate_stage_duration_seconds_sum{G}[R])) / sum by (stage) (rate(launchgate_stage_duration_seconds_count{G}[R]))",
                "{{stage}}",
            ),
            stacked=True,
        ),
        graph(
            "Taps in a batch",
            "How many taps one script call decides.",
            "none",
            query("sum(rate(launchgate_batch_taps_sum{G}[R])) / sum(rate(launchgate_batch_taps_count{G}[R]))", "mean"),
            query("histogram_quantile(0.99, sum by (le) (rate(launchgate_batch_taps_bucket{G}[R])))", "p99"),
        ),
        graph(
            "Taps in queue",
            "Taps that wait for a batch, by gateway.",
            "none",
            query("sum by (instance) (launchgate_taps_waiting{G})", "{{instance}}"),
        ),
        graph(
            "Requests in flight",
            "In-flight permits in use, those of queued requests included, and their number, by gateway.",
            "none",
            query("sum by (instance) (launchgate_requests_in_flight{G})", "{{instance}}"),
            query("max(launchgate_requests_in_flight_max{G})", "permits"),
        ),
        graph(
            "Workers",
            "Share of a core that each worker is busy; near 1 there are too few.",
            "percentunit",
            query("sum by (instance, worker) (rate(launchgate_worker_busy_seconds_total{G}[R]))", "{{instance}} {{worker}}"),
            limit=0.9,
        ),
    )
    add(
        built,
        "Admission",
        graph(
            "Shed",
            "Requests shed with 503, because of load or an unreachable Redis, by reason.",
            "reqps",
            query("sum by (reason) (rate(launchgate_shed_total{G}[R]))", "{{reason}}"),
        ),
        graph(
            "Limited",
            "Requests over a rate limit, by policy.",
            "reqps",
            query("sum by (policy) (rate(launchgate_limited_total{G}[R]))", "{{policy}}"),
        ),
        graph(
            "Connections",
            "Open connections by listener, and the cap of the public one, summed over gateways.",
            "none",
            query("sum by (listener) (launchgate_connections_open{G})", "{{listener}}"),
            query('sum(launchgate_connections_max{G, listener="public"})', "public, cap"),
        ),
        graph(
            "Connections opened",
            "New connections a second, by listener.",
            "cps",
            query("sum by (listener) (rate(launchgate_connections_total{G}[R]))", "{{listener}}"),
            width=12,
        ),
        graph(
            "Connections ended",
            "Closed connections of the public listener a second, by reason.",
            "cps",
            query('sum by (reason) (rate(launchgate_connections_ended_total{G, listener="public"}[R]))', "{{reason}}"),
            width=12,
        ),
    )
    add(
        built,
        "Redis as the gateways see it",
        graph(
            "Connected",
            "Whether each gateway has its connections, by user of Redis. The worst gateway counts.",
            "none",
            query("min by (user) (launchgate_redis_up{G})", "{{user}}"),
        ),
        graph(
            "Connections to Redis",
            "Opened connections to Redis, by user.",
            "cps",
            query("sum by (user) (rate(launchgate_redis_connects_total{G}[R]))", "{{user}}"),
        ),
        graph(
            "Errors of Redis",
            "Failed calls of Redis, by user.",
            "ops",
            query("sum by (user) (rate(launchgate_redis_errors_total{G}[R]))", "{{user}}"),
            query("sum (rate(launchgate_redis_unreadable_total{G}[R]))", "unreadable replies"),
        ),
    )
    add(
        built,
        "Process",
        figure(
            "Gateways",
            "Gateways with a heartbeat in Redis, and their versions.",
            "none",
            query("max(launchgate_fleet_gateways{G})", "gateways"),
            query("max(launchgate_fleet_versions{G})", "versions"),
            width=6,
        ),
        figure(
            "Not ready",
            "Gateways that are not ready for traffic.",
            "none",
            query("count(launchgate_ready{G} == 0) or vector(0)", "not ready"),
            colours=((None, GOOD), (1, BAD)),
            width=6,
        ),
        figure(
            "Certificate",
            "Time to the first expiry of a listener's certificate; no data without TLS.",
            "s",
            query("min(launchgate_certificate_expiry_timestamp_seconds{G}) - time()", "first to expire"),
            colours=((None, BAD), (14 * 86400, GOOD)),
            width=6,
        ),
        figure(
            "Token keys",
            "Time to the first expiry of a token key; no data if no key expires.",
            "s",
            query("min(launchgate_token_key_expiry_timestamp_seconds{G}) - time()", "first to expire"),
            colours=((None, BAD), (14 * 86400, GOOD)),
            width=6,
        ),
        graph(
            "CPU",
            "Cores in use, by gateway.",
            "none",
            query("sum by (instance) (rate(launchgate_process_cpu_seconds_total{G}[R]))", "{{instance}}"),
        ),
        graph(
            "Memory",
            "Resident memory, by gateway.",
            "bytes",
            query("max by (instance) (launchgate_process_resident_memory_bytes{G})", "{{instance}}"),
        ),
        graph(
            "Descriptors",
            "Open descriptors, as a share of the process's limit.",
            "percentunit",
            query("launchgate_process_open_fds{G} / launchgate_process_max_fds{G}", "{{instance}}"),
            limit=0.8,
        ),
        graph(
            "Threads",
            "Threads, by gateway.",
            "none",
            query("max by (instance) (launchgate_process_threads{G})", "{{instance}}"),
        ),
        graph(
            "Log lines missing",
            "Log lines that were not written: dropped because standard error was not read, or limited at a call site.",
            "none",
            query("sum by (instance, reason) (rate(launchgate_log_lines_missing_total{G}[R]))", "{{instance}} {{reason}}"),
        ),
        graph(
            "Up for",
            "Time since the process started; a step down is a restart.",
            "s",
            query("time() - max by (instance) (launchgate_process_start_time_seconds{G})", "{{instance}}"),
        ),
        rows(
            "Versions",
            "The version and scripts of each gateway. The scripts must be the same at all of them.",
            "none",
            cells("max by (instance, version, redis_scripts) (launchgate_build_info{G})"),
            names={"instance": "Instance", "version": "Version", "redis_scripts": "Scripts"},
            hidden=("Value",),
            width=8,
        ),
    )
    return built
