"""The exceptions from the checks, each with its reason. An unused exception is a fault, too."""

# Panels, variables, marks and recorded series that may be without data in the small launch of the check.
EMPTY = {
    (
        "launch",
        "Critical alerts",
    ): "no critical alert fires in a good launch; the later drift is checked to fire",
    ("launch", "Draw"): "the sale of the small launch has no draw; that of another sale is shown",
    ("launch", "Stage of the draw"): "the sale of the small launch has no draw; that of another sale is shown",
}

# Alerts with a selector that may be without data there.
SILENT = {}

# Declared metrics that no panel and no rule uses.
NOT_SHOWN = {}

# Panels with a query that can't be narrowed to the chosen instances (or job).
NOT_NARROWED = {
    ("launch", "Alerts"): "alerts of Redis and of the whole fleet count, too, and have another job or none",
    ("launch", "Firing alerts"): "alerts of Redis and of the whole fleet count, too, and have another job or none",
    ("launch", "Critical alerts"): "alerts of Redis and of the whole fleet count, too, and have another job or none",
    ("launch", "Watched by"): "what watches has other jobs than the gateways that are chosen",
    ("gateway", "Budgets used"): "the rules record the budget of the whole job: days of raw counters would be slow to read",
}
