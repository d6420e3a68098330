"""Runs the tools of Prometheus and Alertmanager on configuration, rules, unit tests and metric texts."""

import subprocess

# The receiver of each severity, and of the dead-man's switch.
ROUTES = {
    ("critical", "Launchgate"): "pager",
    ("warning", "Launchgate"): "chat",
    ("none", "LaunchgateWatchdog"): "watchdog",
}


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{' '.join(command[:3])}: {(done.stdout + done.stderr).strip()}"


def configuration(tree):
    prometheus = tree / "prometheus"
    yield run("promtool", "check", "config", str(prometheus / "prometheus.yml"))
    yield run("promtool", "check", "rules", *map(str, sorted(prometheus.glob("rules/*.yml"))))
    yield run("amtool", "check-config", str(prometheus / "alertmanager.yml"))
    yield run("prometheus-blackbox-exporter", "--config.check", f"--config.file={prometheus / 'blackbox.yml'}")
    for (severity, alert), receiver in ROUTES.items():
        labels = (f"severity={severity}", f"alertname={alert}")
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
