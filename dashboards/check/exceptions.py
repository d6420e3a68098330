"""What is allowed to be otherwise, each with its reason. An exception of what is not there, or that is not needed, is a fault, too."""

# Panels, variables, marks and recorded series that may be without data in the small launch of the check.
EMPTY = {
    (
        "launch",
        "Critical alerts",
    ): "nothing critical happens in a launch that goes well; the drift that comes afterwards is shown to fire"
}

# Alerts with a selector that may be without data there.
SILENT = {}

# Declared metrics that no panel and no rule shows.
NOT_SHOWN = {}

# Panels with a query that can't be narrowed to the chosen instances (or job).
NOT_NARROWED = {
    ("launch", "Alerts"): "alerts of Redis and of the whole fleet count, too, and have another job or none",
    ("launch", "Alerts that fire"): "alerts of Redis and of the whole fleet count, too, and have another job or none",
    ("launch", "Critical alerts"): "alerts of Redis and of the whole fleet count, too, and have another job or none",
    ("gateway", "Budgets used"): "the rules record the budget of the whole job: days of counters would be much to read",
}
