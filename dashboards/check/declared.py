"""The declared metrics: each with its kind and labels, as its owner declares it.

The gateway's list is `gateway metrics --json`; those of loadtest, relay and redis_exporter are what they export, since these
have every series from the start. What rules record is read from the rules.
"""

import dataclasses
import json
import re

# The labels that Prometheus adds to every scraped series.
SCRAPED = {"job": None, "instance": None}


@dataclasses.dataclass
class Metric:
    """One metric: `labels` has the values of each label, None where they are not fixed."""

    kind: str
    labels: dict
    owner: str
    condition: str = ""

    def is_ledger(self):
        """Whether every gateway exports it for the whole fleet: gauges of a sale, and of the fleet."""
        return self.owner == "gateway" and self.kind == "gauge" and "sale" in self.labels


def gateway(text):
    """From `gateway metrics --json`."""
    found = {}
    for entry in json.loads(text):
        labels = {label["name"]: set(label["values"]) if label.get("values") is not None else None for label in entry["labels"]}
        metric = Metric(entry["type"], labels | SCRAPED, "gateway", entry.get("only_when") or "")
        found[entry["name"]] = metric
    return found


def exported(text, owner):
    """From the output of an exporter, in Prometheus's format or OpenMetrics."""
    found, kinds = {}, {}
    for line in text.splitlines():
        if words := re.match(r"# TYPE (\S+) (\S+)$", line):
            kinds[words.group(1)] = words.group(2)
        elif line and not line.startswith("#"):
            name, labels = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", line).groups()
            base = next((base for base in (name, re.sub(r"_(total|bucket|sum|count)$", "", name)) if base in kinds), None)
            metric = found.setdefault(
                base if base and kinds[base] == "histogram" else name, Metric(kinds.get(base, "untyped"), dict(SCRAPED), owner)
            )
            for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""):
                if label != "le":
                    metric.labels.setdefault(label, set()).add(value)
    return found


def classic(text):
    """Converts OpenMetrics to the older format that promtool reads: it describes a counter by the name of its samples."""
    counters = set(re.findall(r"^# TYPE (\S+) counter$", text, re.M))
    if not text.endswith("# EOF\n"):
        return text

    def named(line):
        words = line.split(" ", 3)
        return (
            " ".join([*words[:2], words[2] + "_total", *words[3:]])
            if words[0] == "#" and words[2:3] and words[2] in counters
            else line
        )

    return "".join(named(line) + "\n" for line in text.splitlines() if line != "# EOF")


def series(metrics):
    """The metrics by the series names of queries: of a histogram its buckets, sum and count. Each with the metric's name."""
    found = {}
    for name, metric in metrics.items():
        if metric.kind != "histogram":
            found[name] = (name, metric)
            continue
        counter = dataclasses.replace(metric, kind="counter")
        found[f"{name}_sum"] = found[f"{name}_count"] = (name, counter)
        found[f"{name}_bucket"] = (name, dataclasses.replace(counter, labels=metric.labels | {"le": None}))
    return found
