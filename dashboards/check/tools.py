"""What the tools of Prometheus and Alertmanager say: configuration, rules, their unit tests, the texts of metrics."""

import subprocess

# Which receiver an alert of which severity reaches.
ROUTES = {"critical": "pager", "warning": "chat"}


def run(*command, text=None):
    told = subprocess.run(command, input=text, capture_output=True, text=True)
    return None if told.returncode == 0 else f"{' '.join(command[:3])}: {(told.stdout + told.stderr).strip()}"


def configuration(tree):
    prometheus = tree / "prometheus"
    yield run("promtool", "check", "config", str(prometheus / "prometheus.yml"))
    yield run("promtool", "check", "rules", *map(str, sorted(prometheus.glob("rules/*.yml"))))
    yield run("amtool", "check-config", str(prometheus / "alertmanager.yml"))
    for severity, receiver in ROUTES.items():
        labels = (f"severity={severity}", "alertname=Launchgate")
        yield run(
            "amtool",
            "config",
            "routes",
            "test",
            f"--config.file={prometheus / 'alertmanager.yml'}",
            f"--verify.receivers={receiver}",
            *labels,
        )


def unit_tests(tree, which="*"):
    yield run("promtool", "test", "rules", *map(str, sorted((tree / "prometheus").glob(f"tests/{which}.yml"))))


def texts(*texts):
    for text in texts:
        yield run("promtool", "check", "metrics", text=text)
