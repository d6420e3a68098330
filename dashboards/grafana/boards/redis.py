"""The board of Redis, from redis_exporter's metrics."""

from kit import BAD, GOOD, add, board, cells, figure, graph, in_words, query, rows

STATUS = {"0": ("failed", BAD), "1": ("ok", GOOD)}


def redis():
    built = board("launchgate-redis", "Redis", "The Redis of the ledger, from redis_exporter.", "redis_up")
    add(
        built,
        "Now",
        figure(
            "Redis",
            "Whether the exporter can connect to it.",
            "none",
            query("min(redis_up{G})", "redis"),
            words={"0": ("down", BAD), "1": ("up", GOOD)},
            width=4,
        ),
        figure(
            "Up for",
            "Time since its start; gateways audit the ledger after a restart.",
            "s",
            query("min(redis_uptime_in_seconds{G})", "up"),
            width=4,
        ),
        figure(
            "Append-only file",
            "The file that survives a restart of Redis; it must be on.",
            "none",
            query("min(redis_aof_enabled{G})", "append-only"),
            words={"0": ("off", BAD), "1": ("on", GOOD)},
            width=4,
        ),
        figure(
            "Last write of the file",
            "Whether the last write to the append-only file succeeded.",
            "none",
            query("min(redis_aof_last_write_status{G})", "write"),
            words=STATUS,
            width=4,
        ),
        figure(
            "Last rewrite of the file",
            "Whether the last rewrite of the append-only file succeeded.",
            "none",
            query("min(redis_aof_last_bgrewrite_status{G})", "rewrite"),
            words=STATUS,
            width=4,
        ),
        figure(
            "Evicted keys",
            "Keys of the ledger evicted in the last minutes; must be 0.",
            "none",
            query("sum(increase(redis_evicted_keys_total{G}[R]))", "evicted"),
            colours=((None, GOOD), (0.5, BAD)),
            width=4,
        ),
    )
    add(
        built,
        "Replication",
        rows(
            "Each Redis",
            "By exporter: version, role and policy (which must be noeviction), connected replicas, and the offset of its replication stream.",
            "none",
            cells("max by (instance, role, redis_version, redis_mode, maxmemory_policy) (redis_instance_info{G})"),
            cells("max by (instance) (redis_up{G})"),
            cells("max by (instance) (redis_connected_slaves{G})"),
            cells("max by (instance) (redis_master_repl_offset{G})"),
            cells("min by (instance) (redis_master_link_up{G})"),
            names={
                "instance": "Exporter",
                "role": "Role",
                "redis_version": "Version",
                "redis_mode": "Mode",
                "maxmemory_policy": "At the limit",
                "Value #B": "Redis",
                "Value #C": "Connected replicas",
                "Value #D": "Offset",
                "Value #E": "Link to its primary",
            },
            hidden=("Value #A",),
            columns={
                "Redis": in_words({"0": ("down", BAD), "1": ("up", GOOD)}),
                "Link to its primary": in_words({"0": ("down", BAD), "1": ("up", GOOD)}),
                "Offset": {"unit": "bytes"},
            },
            width=24,
            height=6,
        ),
        graph(
            "Connected replicas",
            "Replicas that are connected to each Redis. With `replicas=N` taps need N of them at the primary.",
            "none",
            query("max by (instance) (redis_connected_slaves{G})", "{{instance}}"),
        ),
        graph(
            "Replicas behind",
            "Bytes of the replication stream that each replica has not acknowledged to its primary.",
            "bytes",
            query(
                "redis_master_repl_offset{G} - on (job, instance) group_right () redis_connected_slave_offset_bytes{G}",
                "{{slave_ip}}:{{slave_port}} of {{instance}}",
            ),
        ),
        graph(
            "Lag of replicas",
            "Time since each replica last acknowledged; about 1 s is usual.",
            "s",
            query(
                "max by (instance, slave_ip, slave_port) (redis_connected_slave_lag_seconds{G})",
                "{{slave_ip}}:{{slave_port}} of {{instance}}",
            ),
        ),
    )
    add(
        built,
        "Memory and disk",
        graph(
            "Memory",
            "Used memory, its peak, resident memory, and the limit (0: none).",
            "bytes",
            query("max(redis_memory_used_bytes{G})", "used"),
            query("max(redis_memory_used_peak_bytes{G})", "peak"),
            query("max(redis_memory_used_rss_bytes{G})", "resident"),
            query("max(redis_memory_max_bytes{G})", "limit"),
        ),
        graph(
            "Memory of the limit",
            "Used share of maxmemory; at 1 new holds are refused.",
            "percentunit",
            query("redis_memory_used_bytes{G} / (redis_memory_max_bytes{G} > 0)", "{{instance}}"),
            limit=0.8,
        ),
        graph(
            "Append-only file",
            "Its size, and the buffer to be written.",
            "bytes",
            query("max(redis_aof_current_size_bytes{G})", "file"),
            query("max(redis_aof_buffer_length{G})", "buffer"),
        ),
        graph(
            "Delayed fsyncs",
            "Delayed fsyncs since the start; they mean that the disk is too slow.",
            "none",
            query("max(redis_aof_delayed_fsync{G})", "delayed"),
        ),
        graph(
            "Background work",
            "Whether a rewrite of the file or a snapshot is running: it costs memory and time.",
            "none",
            query("max(redis_aof_rewrite_in_progress{G})", "rewrite"),
            query("max(redis_rdb_bgsave_in_progress{G})", "snapshot"),
        ),
        graph(
            "Last fork",
            "How long the last fork for background work blocked Redis.",
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
            "Commands that Redis refused (memory, permissions) or that failed.",
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
            "Connections, mostly one for each worker of each gateway, and the limit.",
            "none",
            query("max(redis_connected_clients{G})", "connected"),
            query("max(redis_blocked_clients{G})", "blocked"),
            query("max(redis_config_maxclients{G})", "limit"),
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
    )
    return built
