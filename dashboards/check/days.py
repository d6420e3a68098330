"""Plays simulated days through the real rules, and compares what fires and what reaches a person, and when, with what should.

promtool evaluates the rules on each day's metrics. At every evaluation the alerts that fire must be those that the day expects,
and after the inhibitions of alertmanager.yml those that it expects to be heard: no other, no sooner, no later.
Usage: days.py TREE [DAY]"""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml
from world import DAY, Sale, World, notation, record

# A transition may be this many seconds off, or an evaluation: delays of scrapes, windows and `for`.
SLACK = 4
ALWAYS = ("LaunchgateWatchdog", "none")
YESTERDAY = -20 * 3600


@dataclasses.dataclass
class Alert:
    """An alert that must fire from an instant on, until another; `is_heard` is false where another alert inhibits it."""

    name: str
    severity: str
    since: int
    until: int
    is_heard: bool = True


@dataclasses.dataclass
class Day:
    """What happens, what must fire, and how often Prometheus scrapes and evaluates."""

    world: World
    alerts: list
    seconds: int
    scraped: int = 1
    evaluated: int = 5


def quiet_night():
    """13 requests in two hours, one of them a 503; a sale of yesterday with stock, and one that is sold out."""
    asked = range(300, 7200, 540)
    failed = asked[6]

    def taps(time):
        outcome = "temporary-reduced-capacity" if time == failed else "won"
        return {outcome: 0.2} if time in asked else {}

    sales = {"leftover": Sale(YESTERDAY, taps=taps), "gone": Sale(YESTERDAY, phase="sold_out", free=0)}
    return Day(World(sales, reads=0.4), [], 7200, scraped=5, evaluated=30)


def healthy_launch():
    """A first start, a countdown, a spike that sells out in seconds with shed and slow taps, and a scrape that is missed.

    A forgotten sale is open beside it."""

    def taps(time):
        if time < 120:
            return {"sale-not-open": max(0, time - 60) * 4}
        if time < 124:
            return {"won": 2000, "temporary-reduced-capacity": 16_000}
        return {"sold-out": max(20_000 - (time - 124) * 200, 40), "temporary-reduced-capacity": 16_000 if time < 130 else 0}

    def phase(time):
        return "upcoming" if time < 120 else "open" if time < 124 else "sold_out"

    launch = Sale(120, phase, taps, free=lambda time: 4000 if time < 120 else max(4000 - (time - 120) * 1000, 0))
    world = World({"launch": launch, "forgotten": Sale(YESTERDAY - 90_000)}, reads=lambda time: 3000 if time > 60 else 10)
    world.uptime = lambda time: time + 3
    world.slow_share = lambda time: 0.5 if 120 <= time < 128 else 0.001
    world.cpu = lambda time: 0.97 if 118 <= time < 190 else 0.2
    world.is_scraped = lambda time, gateway: not (gateway == "a" and time == 125)
    return Day(world, [], 480)


def overloaded_launch():
    """A minute in which 5,000 a second win beside 20,000 that are shed: silence. Then the stock is gone, and shedding stays."""

    def taps(time):
        if time < 60:
            return {}
        if time < 120:
            return {"won": 5000, "temporary-reduced-capacity": 20_000}
        if time < 300:
            return {"sold-out": 1000, "temporary-reduced-capacity": 15_000}
        return {"sold-out": 1000}

    def phase(time):
        return "upcoming" if time < 60 else "open" if time < 120 else "sold_out"

    sale = Sale(60, phase, taps, free=lambda time: 150_000 if time < 60 else max(150_000 - (time - 60) * 2500, 0))
    world = World({"launch": sale}, cpu=lambda time: 0.97 if 60 <= time < 130 else 0.5)
    # From a minute after the last buyer won until 10 s hold no failure.
    failing = [Alert("LaunchgateFailingNow", "critical", 185, 310), Alert("LaunchgateShedding", "warning", 185, 310, False)]
    return Day(world, failing, 420)


def paused_at_the_opening():
    """Paused a minute and a half before the opening, and resumed three minutes after it."""

    def taps(time):
        return {"sale-paused": 5000} if 120 <= time < 300 else {"won": 20} if time >= 300 else {"sale-not-open": 10}

    def phase(time):
        return "upcoming" if time < 120 else "paused" if time < 300 else "open"

    world = World({"launch": Sale(120, phase, taps, paused=("ann", "rehearsal", 30, 300))}, reads=100)
    return Day(
        world,
        [
            Alert("LaunchgateOpeningPaused", "warning", 30, 61),
            Alert("LaunchgateOpeningPaused", "warning", 61, 123, False),
            Alert("LaunchgateOpeningPaused", "critical", 61, 123),
            Alert("LaunchgateSalePaused", "critical", 120, 303),
        ],
        420,
    )


def dead_balancer():
    """Three minutes after the opening nothing gets in any more, until five minutes later. Then only the app is broken."""

    def is_dead(time):
        return 300 <= time < 600 or 800 <= time < 1050

    def taps(time):
        return {} if time < 120 or is_dead(time) else {"won": 5}

    sale = Sale(120, lambda time: "open" if time >= 120 else "upcoming", taps)
    world = World({"launch": sale}, reads=lambda time: 0 if is_dead(time) else 50, probe=lambda time: not 300 <= time < 600)
    return Day(
        world,
        [
            Alert("LaunchgatePublicAddressDown", "critical", 306, 600),
            Alert("LaunchgateNoTaps", "critical", 422, 600, False),
            # The opening was less than an hour ago, and taps came in the minute before.
            Alert("LaunchgateNoTaps", "critical", 922, 1050),
        ],
        1200,
    )


def redis_failover():
    """The primary dies under load; a replica takes over after eight seconds, and the ledger is fenced for two more."""
    dead, promoted, open_again = 90, 98, 100

    def taps(time):
        if dead <= time < open_again:
            return {"temporary-reduced-capacity": 1000, "outcome-unknown": 300 if time == dead else 0}
        return {"won": 1000, "temporary-reduced-capacity": 100}

    world = World({"launch": Sale(60, lambda t: "fenced" if promoted <= t < open_again else "open", taps)}, reads=500)
    world.away = lambda time: time - dead + 1 if dead <= time < promoted else 0
    world.is_ready = lambda time: not dead + 2 <= time < open_again
    world.is_up = lambda time, redis: redis != "r1" or time < dead
    world.is_primary = lambda time, redis: redis == ("r1" if time < promoted else "r2")
    world.replicas = lambda time, redis: (2 if redis == "r1" else 0) if time < promoted else 1 if redis == "r2" else 0
    return Day(
        world,
        [
            # It fires for 15 s longer, so that nothing which follows from it is heard.
            Alert("LaunchgateRedisUnreachable", "critical", dead + 2, promoted + 15),
            Alert("LaunchgateRedisConnectionLost", "warning", dead + 5, promoted, False),
            Alert("LaunchgateSnapshotStale", "warning", dead + 5, promoted, False),
            Alert("LaunchgateSweeperStuck", "critical", dead + 5, promoted, False),
            Alert("LaunchgateNoGatewayReady", "critical", dead + 7, promoted + 15, False),
            # The former primary stays away.
            Alert("LaunchgateRedisDown", "warning", dead + 5, promoted + 15, False),
            Alert("LaunchgateRedisDown", "warning", promoted + 15, 10_000),
        ],
        200,
        evaluated=1,
    )


def lost_replica():
    """With replicas=1 one of two replicas is lost: a warning. The other one, too: nothing is sold until it is back."""
    first, second, back = 120, 240, 360

    def taps(time):
        return {"outcome-unknown": 200, "temporary-reduced-capacity": 800} if second <= time < back else {"won": 500}

    world = World({"launch": Sale(60, taps=taps)}, reads=500, durability="replicas=1")
    world.is_ready = lambda time: not second + 3 <= time < back
    world.is_up = lambda time, redis: not (redis == "r3" and time >= first or redis == "r2" and second <= time < back)
    world.replicas = lambda time, redis: 0 if redis != "r1" or second <= time < back else 2 if time < first else 1
    # With its host, its exporter.
    world.exporter = lambda time, redis: redis != "r2" or not second <= time < back
    return Day(
        world,
        [
            Alert("LaunchgateRedisReplicaLost", "warning", first + 5, 10_000),
            Alert("LaunchgateRedisReplicaLost", "critical", second + 6, back + 15),
            Alert("LaunchgateRedisDown", "warning", first + 5, 10_000),
            Alert("LaunchgateRedisUnwatched", "warning", second + 10, back),
            Alert("LaunchgateNoGatewayReady", "critical", second + 8, back + 15, False),
            Alert("LaunchgateNotReady", "warning", second + 18, back, False),
            Alert("LaunchgateNotSelling", "critical", second + 15, back, False),
            Alert("LaunchgateFailingNow", "critical", second + 6, back + 10, False),
            Alert("LaunchgateOutcomesUnknown", "warning", second + 1, back + 10, False),
            Alert("LaunchgateShedding", "warning", second + 66, back + 10, False),
        ],
        480,
    )


def lost_replica_and_no_writes():
    """The same where Redis takes no writes without them (`min-replicas-to-write`): it answers, and no alert says otherwise."""
    day, first, second, back = lost_replica(), 120, 240, 360
    sale = day.world.sales["launch"]
    sale.phase = lambda time: "halted" if second <= time < back else "open"
    sale.taps = lambda time: {"temporary-reduced-capacity": 1000} if second <= time < back else {"won": 500}
    day.world.refusing = lambda time: time - second + 1 if second <= time < back else 0
    # Its text says that Redis takes no writes. It inhibits the warning about a replica that is down.
    others = ("LaunchgateFailingNow", "LaunchgateNotSelling", "LaunchgateOutcomesUnknown", "LaunchgateRedisDown")
    day.alerts = [alert for alert in day.alerts if alert.name not in others] + [
        Alert("LaunchgateFailingNow", "critical", second + 66, back + 10, False),
        Alert("LaunchgateRedisDown", "warning", first + 5, second + 3),
        Alert("LaunchgateRedisDown", "warning", second + 3, back + 15, False),
        Alert("LaunchgateRedisDown", "warning", back + 15, 10_000),
        Alert("LaunchgateRedisUnreachable", "critical", second + 3, second + 6),
        Alert("LaunchgateRedisUnreachable", "critical", second + 6, back + 15, False),
        Alert("LaunchgateLedgerFault", "critical", second + 3, second + 6),
        Alert("LaunchgateLedgerFault", "critical", second + 6, back + 15, False),
        Alert("LaunchgateRedisConnectionLost", "warning", second + 5, back, False),
        Alert("LaunchgateSweeperStuck", "critical", second + 5, back, False),
    ]
    return day


def dead_gateways():
    """On the day after an opening no gateway answers for three minutes."""

    def is_dead(time):
        return 120 <= time < 300

    sales = {"leftover": Sale(YESTERDAY, taps=lambda time: {} if is_dead(time) else {"won": 1})}
    world = World(sales, reads=10, is_scraped=lambda time, _: not is_dead(time), probe=lambda time: not is_dead(time))
    return Day(
        world,
        [
            Alert("LaunchgateNoGatewayReady", "critical", 126, 315),
            Alert("LaunchgatePublicAddressDown", "critical", 127, 300),
            Alert("LaunchgateGatewayDown", "warning", 181, 300, False),
        ],
        420,
    )


def damaged_beside_a_launch():
    """A sale of yesterday is halted; in the launch beside it half of the taps fail for a bug, and still sell."""
    bug, mended = 180, 300
    launch = Sale(60, taps=lambda time: {"won": 500, "internal": 500 if bug <= time < mended else 0} if time >= 60 else {})
    world = World({"launch": launch, "old": Sale(YESTERDAY, phase="halted")}, reads=100)
    return Day(
        world,
        [
            Alert("LaunchgateLedgerFault", "critical", 4, 10_000),
            Alert("LaunchgateInternalErrors", "warning", bug + 1, mended + 60),
            # Another sale that is halted does not keep it quiet.
            Alert("LaunchgateFailingNow", "critical", bug + 8, mended + 10),
        ],
        420,
    )


def certificate_expiry():
    """A certificate and a key of tokens come to their two weeks, and a certificate ends."""
    world = World({"leftover": Sale(YESTERDAY, taps={"won": 0.1})}, reads=1)
    world.certificate, world.public_certificate_of_b = 14 * DAY + 1800, 1800 + 2 * DAY
    return Day(
        world,
        [
            Alert("LaunchgateCertificateExpiring", "warning", 0, 10_000),
            Alert("LaunchgateCertificateExpiring", "critical", 1800, 10_000),
            Alert("LaunchgateTokenKeyExpiring", "warning", 1800, 10_000),
        ],
        3600,
        scraped=5,
        evaluated=30,
    )


DAYS = {
    each.__name__.replace("_", " "): each
    for each in (
        quiet_night,
        healthy_launch,
        overloaded_launch,
        paused_at_the_opening,
        dead_balancer,
        redis_failover,
        lost_replica,
        lost_replica_and_no_writes,
        dead_gateways,
        damaged_beside_a_launch,
        certificate_expiry,
    )
}


def matchers(lines):
    """Alertmanager's matchers as those of a selector."""
    return ", ".join(re.sub(r"^(\w+)\s*(=~|!~|!=|=)\s*(.*)$", r"\1\2\3", line) for line in lines)


def heard(alertmanager):
    """The query of the alerts that no other inhibits: an inhibition in PromQL, as Alertmanager reads it."""
    inhibited = []
    for rule in alertmanager["inhibit_rules"]:
        target, source = (f'ALERTS{{alertstate="firing", {matchers(rule[f"{side}_matchers"])}}}' for side in ("target", "source"))
        inhibited.append(f"({target} and on ({', '.join(rule.get('equal', []))}) {source})")
    return f'ALERTS{{alertstate="firing"}} unless ({" or ".join(inhibited)})'


def cases(day, query, is_wanted):
    """The checks of a day: at each instant that is not too near a transition, what the query has to give."""
    wanted = [alert for alert in day.alerts if is_wanted(alert)]
    transitions = {instant for alert in day.alerts for instant in (alert.since, alert.until) if 0 < instant < day.seconds}
    slack = max(SLACK, day.evaluated)
    for time in range(day.evaluated, day.seconds, day.evaluated):
        if any(abs(time - transition) <= slack for transition in transitions):
            continue
        now = {(alert.name, alert.severity) for alert in wanted if alert.since <= time < alert.until} | {ALWAYS}
        samples = [{"labels": f'{{alertname="{name}", severity="{severity}"}}', "value": 1} for name, severity in sorted(now)]
        yield {"expr": f"group by (alertname, severity) ({query})", "eval_time": f"{time}s", "exp_samples": samples}


def test(tree, day):
    """The day as a test of promtool."""
    query = heard(yaml.safe_load((tree / "prometheus/alertmanager.yml").read_text()))
    series = record(day.world, day.seconds, day.scraped)
    return {
        "rule_files": [str(path) for path in sorted((tree / "prometheus/rules").resolve().glob("*.yml"))],
        "evaluation_interval": f"{day.evaluated}s",
        "tests": [
            {
                "interval": f"{day.scraped}s",
                "input_series": [{"series": name, "values": notation(values)} for name, values in series.items()],
                "promql_expr_test": [
                    *cases(day, 'ALERTS{alertstate="firing"}', lambda alert: True),
                    *cases(day, query, lambda alert: alert.is_heard),
                ],
            }
        ],
    }


def differences(text):
    """What promtool reports, by alert: when it fires or is heard and should not, or the other way round."""
    found = {}
    for query, time, wanted, got in re.findall(r'expr: "(.*?)", time: (\w+),\s+exp: (.*)\s+got: (.*)', text):
        wanted, got = (set(re.findall(r'alertname="(\w+)", severity="(\w+)"', samples)) for samples in (wanted, got))
        does = "is heard" if " unless " in query else "fires"
        for name, severity in wanted - got:
            found.setdefault(f"{name} ({severity}): expected that it {does}, and it does not", []).append(time)
        for name, severity in got - wanted:
            found.setdefault(f"{name} ({severity}) {does}, and should not", []).append(time)
    return [f"{what}: at {', '.join(times)}" for what, times in found.items()] or [text.strip()]


def faults(tree, only=None):
    """What differs from what should fire, on each day."""
    with tempfile.TemporaryDirectory() as folder:
        running = {}
        for name in [only] if only else DAYS:
            path = pathlib.Path(folder) / f"{name}.yml"
            path.write_text(json.dumps(test(tree, DAYS[name]())))
            command = ("promtool", "test", "rules", str(path))
            running[name] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name, process in running.items():
            text, _ = process.communicate()
            if process.returncode:
                yield from (f"the day {name!r}: {fault}" for fault in differences(text))


if __name__ == "__main__":
    found = [*faults(pathlib.Path(sys.argv[1]), *sys.argv[2:3])]
    print("\n".join(found) or "every alert fires when it should")
    sys.exit(bool(found))
