"""The board of the gateway processes: rates, errors, durations; connections, limits, their view of Redis, the process."""

from kit import BAD, GOOD, WARN, add, board, cells, coloured, figure, graph, in_words, quantiles, query, rows

DAY = 86400
# What ends by itself, with its name as `of`.
ENDS = (
    'label_replace(min by (instance, listener) (launchgate_certificate_expiry_timestamp_seconds{G}), "of", "certificate, $1 listener", "listener", "(.+)")'
    ' or label_replace(min by (instance) (launchgate_token_key_expiry_timestamp_seconds{G}), "of", "first token key", "", "")'
)


def gateway():
    built = board(
        "launchgate-gateway", "Gateway", "The gateway processes, and all hosts.", "launchgate_build_info", "node_timex_sync_status"
    )
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
        ),
        graph(
            "Connections ended",
            "Closed connections of the public listener a second, by reason.",
            "cps",
            query('sum by (reason) (rate(launchgate_connections_ended_total{G, listener="public"}[R]))', "{{reason}}"),
        ),
        graph(
            "Refused ops tokens",
            "Calls of the admin API with an unknown token, or with one whose role does not allow the call.",
            "reqps",
            query("sum by (reason) (rate(launchgate_ops_tokens_refused_total{G}[R]))", "{{reason}}"),
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
            height=8,
        ),
        figure(
            "Not ready",
            "Gateways that are not ready for traffic.",
            "none",
            query("count(launchgate_ready{G} == 0) or vector(0)", "not ready"),
            colours=((None, GOOD), (1, BAD)),
            width=6,
            height=8,
        ),
        rows(
            "Versions",
            "The version and scripts of each gateway, its durability, workers and keys. Version, scripts, durability and keys should be the same at all.",
            "none",
            cells("max by (instance, version, redis_scripts) (launchgate_build_info{G})"),
            cells("max by (instance, durability, workers, token_keys) (launchgate_serve_info{G})"),
            names={
                "instance": "Instance",
                "version": "Version",
                "redis_scripts": "Scripts",
                "durability": "Durability",
                "workers": "Workers",
                "token_keys": "Token keys",
            },
            hidden=("Value #A", "Value #B"),
            columns={"Durability": in_words({"none": ("none", BAD)})},
        ),
        rows(
            "Certificates and keys",
            "Time to the expiry of each listener's certificate, and of the first token key. Without TLS, or if no key expires, the table has no such line.",
            "none",
            cells(f"({ENDS}) - time()"),
            names={"instance": "Instance", "of": "Certificate or key", "Value": "Expires in"},
            hidden=("listener",),
            columns={"Expires in": coloured((None, BAD), (7 * DAY, WARN), (30 * DAY, GOOD), unit="dthms")},
        ),
        rows(
            "Reloaded files",
            "Files that are read again when they change: whether the present content is valid.",
            "none",
            cells("max by (instance, file) (launchgate_file_rejected{G})"),
            names={"instance": "Instance", "file": "File", "Value": "Content"},
            columns={"Content": in_words({"0": ("in force", GOOD), "1": ("invalid: the former one is in force", BAD)})},
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
    )
    add(
        built,
        "Hosts",
        graph(
            "Disk in use",
            "Share of each file system that is in use, from node_exporter. A full disk stops Redis's append-only file.",
            "percentunit",
            query(
                "1 - max by (instance, mountpoint) (node_filesystem_avail_bytes{G} / node_filesystem_size_bytes{G})",
                "{{instance}} {{mountpoint}}",
            ),
            limit=0.9,
        ),
        graph(
            "CPU of hosts",
            "Share of all cores in use, by host.",
            "percentunit",
            query('1 - avg by (instance) (rate(node_cpu_seconds_total{G, mode="idle"}[R]))', "{{instance}}"),
            limit=0.9,
        ),
        graph(
            "Clocks",
            "Offset of each host's clock from its time source, and of each gateway's host from Redis's clock.",
            "s",
            query("max by (instance) (node_timex_offset_seconds{G})", "{{instance}}, time source"),
            query("max by (instance) (launchgate_clock_offset_seconds{G})", "{{instance}}, Redis"),
            signed=True,
        ),
        rows(
            "Clock synchronisation",
            "Whether the kernel's clock of each host is synchronised.",
            "none",
            cells("min by (instance) (node_timex_sync_status{G})"),
            names={"instance": "Host", "Value": "Clock"},
            columns={"Clock": in_words({"0": ("not synchronised", BAD), "1": ("synchronised", GOOD)})},
            width=24,
            height=5,
        ),
    )
    return built
