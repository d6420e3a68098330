"""Simulates the metrics of a whole installation, second by second: two gateways, a Redis with two replicas, hosts, a probe.

Everything is well unless a day says otherwise: its members are numbers, or functions of the time in seconds."""

import dataclasses
import itertools
from collections.abc import Callable

GATEWAYS, REDISES = ("a", "b"), ("r1", "r2", "r3")
PHASES = ("upcoming", "open", "paused", "sold_out", "closed", "fenced", "halted")
OUTCOMES = ("won", "sold-out", "sale-not-open", "sale-paused", "temporary-reduced-capacity", "outcome-unknown", "internal")
FAILED = ("temporary-reduced-capacity", "outcome-unknown", "internal")
DAY = 86_400


def at(value, time, *more):
    return value(time, *more) if callable(value) else value


@dataclasses.dataclass
class Sale:
    """A sale: when it opens, its phase, its taps a second by outcome, and what is left of each of its models."""

    opens: float
    phase: Callable | str = "open"
    taps: Callable | dict = dataclasses.field(default_factory=dict)
    free: Callable | float = 1000
    # Who paused it, why, from when, and until when.
    paused: tuple | None = None


@dataclasses.dataclass
class World:
    """What a day changes."""

    sales: dict = dataclasses.field(default_factory=dict)
    # Whether Prometheus reads the gateway: `is_scraped(time, gateway)`.
    is_scraped: Callable | bool = True
    is_ready: Callable | bool = True
    # Whether gateways reach Redis, and for how long they have not.
    away: Callable | float = 0
    # For how long Redis has answered and taken no writes.
    refusing: Callable | float = 0
    durability: str = "fsync"
    # Requests besides taps, all of them good, and failures among them.
    reads: Callable | float = 0
    slow_share: Callable | float = 0
    cpu: Callable | float = 0.2
    probe: Callable | bool = True
    # Of each Redis: whether it is up, whether it is the primary, its replicas, and whether its exporter is read.
    is_up: Callable | bool = True
    is_primary: Callable = lambda time, redis: redis == "r1"
    replicas: Callable = lambda time, redis: 2 if redis == "r1" else 0
    exporter: Callable | bool = True
    uptime: Callable = lambda time: 5 * DAY + time
    certificate: float = 90 * DAY
    public_certificate_of_b: float = 90 * DAY


class Recording:
    """The series of a day, one value each step; None where there is none."""

    def __init__(self, seconds, step):
        self.times = range(0, seconds + step, step)
        self.step, self.series = step, {}

    def add(self, name, value, there=lambda _: True, **labels):
        selector = ", ".join(f'{label}="{text}"' for label, text in labels.items())
        self.series[f"{name}{{{selector}}}"] = [at(value, time) if there(time) else None for time in self.times]

    def count(self, name, rate, there=lambda _: True, **labels):
        """A counter; `rate` is a second's increase."""
        increments = itertools.chain([0], (at(rate, time) * self.step for time in self.times[:-1]))
        sums = list(itertools.accumulate(increments))
        self.add(name, lambda time: sums[time // self.step], there, **labels)


def record(world, seconds, step):
    """The series of a world."""
    recording = Recording(seconds, step)
    for gateway in GATEWAYS:
        record_gateway(recording, world, gateway)
    for redis in REDISES:
        record_redis(recording, world, redis)
    record_watchers(recording, world)
    return recording.series


def record_gateway(recording, world, gateway):
    def is_there(time):
        return at(world.is_scraped, time, gateway)

    def add(name, value, **labels):
        recording.add(f"launchgate_{name}", value, is_there, job="launchgate", instance=gateway, **labels)

    def count(name, rate, **labels):
        recording.count(f"launchgate_{name}", rate, is_there, job="launchgate", instance=gateway, **labels)

    recording.add("up", lambda time: int(is_there(time)), job="launchgate", instance=gateway)
    add("ready", lambda time: int(at(world.is_ready, time)))
    add("build_info", 1, version="1.0.0", redis_scripts="x")
    add("serve_info", 1, durability=world.durability, workers="2", token_keys="hs256")
    add("fleet_gateways", lambda time: sum(at(world.is_scraped, max(time - 5, 0), each) for each in GATEWAYS))
    add("fleet_versions", 1)
    add("process_start_time_seconds", -DAY)
    add("process_open_fds", 500)
    add("process_max_fds", 65_536)
    add("clock_offset_seconds", 0.001)
    add("file_rejected", 0, file="ops-token-file")
    expires = world.public_certificate_of_b if gateway == "b" else world.certificate
    add("certificate_expiry_timestamp_seconds", expires, listener="public")
    add("token_key_expiry_timestamp_seconds", world.certificate)
    for user in ("batches", "ledger", "consumer"):
        gone = lambda time, user=user: at(world.away, time) or user != "consumer" and at(world.refusing, time)  # noqa: E731
        add("redis_up", lambda time, gone=gone: int(not gone(time)), user=user)
    count("connections_ended_total", 1, listener="public", reason="closed")
    count("forwarded_ignored_total", 0)
    count("ops_tokens_refused_total", 0, reason="unknown")
    record_requests(world, count)
    for name, sale in world.sales.items():
        record_sale(world, add, count, name, sale)


def record_requests(world, count):
    """All answers of one gateway: it has its equal share of them."""

    def taps(time, outcomes=OUTCOMES):
        return sum(at(sale.taps, time).get(each, 0) for sale in world.sales.values() for each in outcomes) / len(GATEWAYS)

    def reads(time):
        return at(world.reads, time) / len(GATEWAYS)

    for outcome in OUTCOMES:
        count("requests_total", lambda time, outcome=outcome: taps(time, [outcome]), route="reserve", outcome=outcome)
    count("requests_total", reads, route="sale", outcome="ok")
    count("requests_total", 0, route="reserve", outcome="quota-exceeded")
    count("requests_total", 0, route="reserve", outcome="unauthenticated")
    count("shed_total", lambda time: taps(time, ["temporary-reduced-capacity"]), reason="queue")
    count("slo_requests_total", lambda time: taps(time) + reads(time), slo="availability")
    count("slo_good_total", lambda time: taps(time) - taps(time, FAILED) + reads(time), slo="availability")
    count("slo_requests_total", taps, slo="latency")
    count("slo_good_total", lambda time: taps(time) * (1 - at(world.slow_share, time)), slo="latency")
    batches = {"stage": "redis"}
    count("stage_duration_seconds_bucket", lambda time: taps(time, ["won"]) / 10, le="0.1", **batches)
    count("stage_duration_seconds_bucket", lambda time: taps(time, ["won"]) / 10, le="+Inf", **batches)


def record_sale(world, add, count, name, sale):
    for phase in PHASES:
        add("sale_phase", lambda time, phase=phase: int(at(sale.phase, time) == phase), sale=name, phase=phase)
    if sale.paused:
        by, reason, since, until = sale.paused
        add("sale_paused_info", lambda time: 1 if since <= time < until else None, sale=name, by=by, reason=reason)
    for outcome in OUTCOMES:
        rate = lambda time, outcome=outcome: at(sale.taps, time).get(outcome, 0) / len(GATEWAYS)  # noqa: E731
        count("taps_total", rate, sale=name, outcome=outcome)
    for model in ("white", "black"):
        add("stock_units", lambda time: at(sale.free, time), sale=name, item=f"model:{model}", state="free")
    add("sale_opens_timestamp_seconds", sale.opens, sale=name)
    add("sale_frozen", 0, sale=name)
    add("ledger_fault", lambda time: int(at(sale.phase, time) in ("fenced", "halted")), sale=name)
    add("ledger_drift", 0, sale=name)
    add("ledger_counters_differ", 0, sale=name)
    add("ledger_oversold_units", 0, sale=name)
    add("ledger_audited_timestamp_seconds", lambda time: time // 120 * 120, sale=name)
    add("ledger_timestamp_seconds", lambda time: time, sale=name)
    add("oldest_due_seconds", 0, sale=name)
    add("sweep_lag_seconds", lambda time: at(world.away, time) or at(world.refusing, time), sale=name)
    add("snapshot_age_seconds", lambda time: at(world.away, time), sale=name)


def record_redis(recording, world, redis):
    labels = {"job": "redis", "instance": redis}

    def is_read(time):
        return bool(at(world.exporter, time, redis))

    def is_there(time):
        return is_read(time) and at(world.is_up, time, redis)

    def replicas(time):
        return world.replicas(time, redis)

    recording.add("up", lambda time: int(is_read(time)), **labels)
    recording.add("redis_up", lambda time: int(is_there(time)), is_read, **labels)
    for role in ("master", "slave"):
        has_role = lambda time, role=role: 1 if world.is_primary(time, redis) == (role == "master") else None  # noqa: E731
        recording.add("redis_instance_info", has_role, is_there, role=role, maxmemory_policy="noeviction", **labels)
    recording.add("redis_connected_slaves", replicas, is_there, **labels)
    recording.add("redis_connected_slave_lag_seconds", lambda time: 0 if replicas(time) else None, is_there, **labels)
    recording.add("redis_uptime_in_seconds", world.uptime, is_there, **labels)
    recording.add("redis_memory_used_bytes", 1e8, is_there, **labels)
    recording.add("redis_memory_max_bytes", 1e9, is_there, **labels)
    recording.add("redis_evicted_keys_total", 0, is_there, **labels)
    for name in ("redis_aof_enabled", "redis_aof_last_write_status", "redis_aof_last_bgrewrite_status"):
        recording.add(name, 1, is_there, **labels)


def record_watchers(recording, world):
    for host in (*GATEWAYS, *REDISES):
        labels = {"job": "node", "instance": f"host-{host}"}
        recording.add("up", 1, **labels)
        disk = labels | {"fstype": "ext4", "mountpoint": "/"}
        recording.add("node_filesystem_avail_bytes", 6e10, **disk)
        recording.add("node_filesystem_size_bytes", 1e11, **disk)
        recording.add("node_timex_sync_status", 1, **labels)
        recording.add("node_timex_offset_seconds", 0.0002, **labels)
        recording.count("node_cpu_seconds_total", lambda time: 1 - at(world.cpu, time), cpu="0", mode="idle", **labels)
    labels = {"job": "probe", "instance": "https://shop.example/v1/time"}
    recording.add("up", 1, **labels)
    recording.add("probe_success", lambda time: int(at(world.probe, time // 5 * 5)), **labels)
    labels = {"job": "prometheus", "instance": "p"}
    recording.add("up", 1, **labels)
    recording.count("prometheus_rule_evaluation_failures_total", 0, rule_group="g", **labels)
    recording.count("prometheus_rule_group_iterations_missed_total", 0, rule_group="g", **labels)
    recording.count("prometheus_notifications_errors_total", 0, alertmanager="m", **labels)
    recording.count("prometheus_notifications_dropped_total", 0, **labels)
    recording.add("prometheus_config_last_reload_successful", 1, **labels)
    labels = {"job": "alertmanager", "instance": "m"}
    recording.add("up", 1, **labels)
    recording.count("alertmanager_notifications_failed_total", 0, integration="webhook", **labels)
    recording.add("alertmanager_config_last_reload_successful", 1, **labels)


def notation(values):
    """The values as promtool expands them: runs of equal differences, `_` for none, `stale` where a series ends."""
    words, index = [], 0
    while index < len(values):
        end = index + 1
        if values[index] is None:
            while end < len(values) and values[end] is None:
                end += 1
            ends = index > 0
            words += (["stale"] if ends else []) + ([f"_x{end - index - ends}"] if end - index > ends else [])
        else:
            step = 0
            if end < len(values) and values[end] is not None:
                step = values[end] - values[index]
                while end < len(values) and values[end] is not None and values[end] - values[end - 1] == step:
                    end += 1
            words.append(f"{values[index]!r}{step:+}x{end - index - 1}" if end - index > 1 else repr(values[index]))
        index = end
    return " ".join(words)
