"""The board of Redis, from redis_exporter's metrics."""

from kit import BAD, GOOD, add, board, cells, figure, graph, query, rows

GOES = {"0": ("fails", BAD), "1": ("goes", GOOD)}


def redis():
    built = board("launchgate-redis", "Redis", "The Redis that the ledger is in, as redis_exporter sees it.", "redis_up")
    add(
        built,
        "Now",
        figure(
            "Redis",
            "Whether the exporter reaches it.",
            "none",
            query("min(redis_up{G})", "redis"),
            words={"0": ("away", BAD), "1": ("there", GOOD)},
            width=4,
        ),
        figure(
            "Up for",
            "Since it was started; gateways audit the ledger after a restart.",
            "s",
            query("min(redis_uptime_in_seconds{G})", "up"),
            width=4,
        ),
        figure(
            "Append-only file",
            "What survives a restart of Redis; it must be on.",
            "none",
            query("min(redis_aof_enabled{G})", "append-only"),
            words={"0": ("off", BAD), "1": ("on", GOOD)},
            width=4,
        ),
        figure(
            "Last write of the file",
            "Whether the latest write to the append-only file worked.",
            "none",
            query("min(redis_aof_last_write_status{G})", "write"),
            words=GOES,
            width=4,
        ),
        figure(
            "Last rewrite of the file",
            "Whether the latest compaction of the append-only file worked.",
            "none",
            query("min(redis_aof_last_bgrewrite_status{G})", "rewrite"),
            words=GOES,
            width=4,
        ),
        figure(
            "Keys thrown away",
            "Keys that were evicted in the last minutes; there must be none, they are the ledger's.",
            "none",
            query("sum(increase(redis_evicted_keys_total{G}[R]))", "evicted"),
            colours=((None, GOOD), (0.5, BAD)),
            width=4,
        ),
    )
    add(
        built,
        "Memory and disk",
        graph(
            "Memory",
            "What is used, its peak, what the process has of the host, and the limit (0: none).",
            "bytes",
            query("max(redis_memory_used_bytes{G})", "used"),
            query("max(redis_memory_used_peak_bytes{G})", "peak"),
            query("max(redis_memory_used_rss_bytes{G})", "resident"),
            query("max(redis_memory_max_bytes{G})", "limit"),
        ),
        graph(
            "Memory of the limit",
            "Share of maxmemory that is used; at 1 new holds are refused.",
            "percentunit",
            query("redis_memory_used_bytes{G} / (redis_memory_max_bytes{G} > 0)", "{{instance}}"),
            limit=0.8,
        ),
        graph(
            "Append-only file",
            "Its size, and what waits to be written.",
            "bytes",
            query("max(redis_aof_current_size_bytes{G})", "file"),
            query("max(redis_aof_buffer_length{G})", "buffer"),
        ),
        graph(
            "Delayed fsyncs",
            "How often an fsync was waited for, since the start; a disk that is too slow.",
            "none",
            query("max(redis_aof_delayed_fsync{G})", "delayed"),
        ),
        graph(
            "Background work",
            "Whether a rewrite of the file or a snapshot is under way: it costs memory and time.",
            "none",
            query("max(redis_aof_rewrite_in_progress{G})", "rewrite"),
            query("max(redis_rdb_bgsave_in_progress{G})", "snapshot"),
        ),
        graph(
            "Last fork",
            "How long Redis stood still to start the latest background work.",
            "s",
            query("max(redis_latest_fork_seconds{G})", "fork"),
        ),
    )
    add(
        built,
        "Work",
        graph(
            "Commands",
            "Commands a second.",
            "ops",
            query("sum(rate(redis_commands_processed_total{G}[R]))", "all"),
            query("sum by (cmd) (rate(redis_commands_total{G}[R])) > 0", "{{cmd}}"),
        ),
        graph(
            "Time of a command",
            "Mean time inside Redis. evalsha and fcall are the gateways' scripts.",
            "s",
            query(
                "sum by (cmd) (rate(redis_commands_duration_seconds_total{G}[R])) / sum by (cmd) (rate(redis_commands_total{G}[R]) > 0)",
                "{{cmd}}",
            ),
            log=True,
        ),
        graph(
            "CPU",
            "Share of one core; Redis has one for commands.",
            "percentunit",
            query(
                "sum by (instance) (rate(redis_cpu_user_seconds_total{G}[R]) + rate(redis_cpu_sys_seconds_total{G}[R]))",
                "{{instance}}",
            ),
            limit=0.9,
        ),
        graph(
            "Refused and failed commands",
            "Commands that Redis refused (memory, rights) or that failed.",
            "ops",
            query("sum(rate(redis_commands_rejected_calls_total{G}[R]))", "refused"),
            query("sum(rate(redis_commands_failed_calls_total{G}[R]))", "failed"),
        ),
        graph(
            "Slow commands",
            "Entries of the slow log; `redis-cli SLOWLOG GET` shows them.",
            "none",
            query("max(redis_slowlog_length{G})", "entries"),
        ),
        graph("Keys", "Keys of all databases: seven a sale, and a few.", "none", query("sum(redis_db_keys{G})", "keys")),
    )
    add(
        built,
        "Clients",
        graph(
            "Clients",
            "Connections: one for each worker of each gateway and a few more; and how many may be.",
            "none",
            query("max(redis_connected_clients{G})", "connected"),
            query("max(redis_blocked_clients{G})", "blocked"),
            query("max(redis_config_maxclients{G})", "at most"),
            log=True,
        ),
        graph(
            "Network",
            "Bytes a second.",
            "binBps",
            query("sum(rate(redis_net_input_bytes_total{G}[R]))", "in"),
            query("sum(rate(redis_net_output_bytes_total{G}[R]))", "out"),
        ),
        graph(
            "Connections",
            "Opened and refused a second.",
            "cps",
            query("sum(rate(redis_connections_received_total{G}[R]))", "opened"),
            query("sum(rate(redis_rejected_connections_total{G}[R]))", "refused"),
        ),
        rows(
            "Programs",
            "Which Redis this is. The policy must be noeviction.",
            "none",
            cells("max by (instance, redis_version, redis_mode, role, maxmemory_policy) (redis_instance_info{G})"),
            names={
                "instance": "Exporter",
                "redis_version": "Version",
                "redis_mode": "Mode",
                "role": "Role",
                "maxmemory_policy": "At the limit",
            },
            hidden=("Value",),
            width=24,
            height=5,
        ),
    )
    return built
