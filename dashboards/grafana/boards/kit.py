"""Queries, panels and variables of the boards, built with Grafana's SDK.

In a query `{G}` is replaced by the matchers of job and instance, `{S}` by these and the sale's, `[R]` by Grafana's rate interval:
`rate(launchgate_shed_total{G, reason="queue"}[R])`.
"""

import re

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmaps

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
MATCHERS = {"G": 'job=~"$job", instance=~"$instance"', "S": 'job=~"$job", instance=~"$instance", sale=~"$sale"'}
GOOD, BAD, WARN, PLAIN = "green", "red", "orange", "text"


def promql(text):
    """A query with its matchers and its interval."""
    text = re.sub(r"\{([GS])\b", lambda found: "{" + MATCHERS[found.group(1)], text)
    return text.replace("[R]", "[$__rate_interval]")


def query(expr, legend="", instant=False):
    """A query over the shown time range, or at its end."""
    target = prometheus.Dataquery().expr(promql(expr)).legend_format(legend or "__auto").datasource(SOURCE)
    return target.instant() if instant else target.range()


def quantiles(buckets, *points):
    """The quantiles of a histogram, from the buckets' selector."""
    return [query(f"histogram_quantile({at}, sum by (le) (rate({buckets}[R])))", f"p{at * 100:g}") for at in points]


def panel(kind, title, description, unit, queries, width, height):
    """A panel with the common settings."""
    built = kind.Panel().title(title).description(description).unit(unit).datasource(SOURCE).span(width).height(height)
    for index, target in enumerate(queries):
        built.with_target(target.ref_id(chr(ord("A") + index)))
    return built


def graph(title, description, unit, *queries, width=8, height=8, stacked=False, log=False, signed=False, limit=None):
    """Lines over time; stacked where they add up, `signed` where they go below zero. `limit` is a line that must not be crossed."""
    built = (
        panel(timeseries, title, description, unit, queries, width, height)
        .line_width(1)
        .fill_opacity(25 if stacked else 5)
        .show_points(shapes.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(shapes.LegendDisplayMode.LIST)
            .placement(shapes.LegendPlacement.BOTTOM)
            .calcs([])
        )
    )
    if not (log or signed):
        built.min(0)
    if stacked:
        built.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    if log:
        built.scale_distribution(common.ScaleDistributionConfig().type(shapes.ScaleDistribution.LOG).log(10))
    if limit is not None:
        built.thresholds(steps((None, GOOD), (limit, BAD)))
        built.thresholds_style(common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED))
    return built


def figure(title, description, unit, *queries, width=3, height=4, colours=((None, PLAIN),), words=None, name=False):
    """A large number: an instant query at the end of the shown time range, so that it is never an old value.
    `words` maps values to words, `name` shows the series' name instead of its value."""
    return (
        panel(stat, title, description, unit, [each.instant() for each in queries], width, height)
        .graph_mode(shapes.BigValueGraphMode.NONE)
        .color_mode(shapes.BigValueColorMode.VALUE)
        .text_mode(shapes.BigValueTextMode.NAME if name else shapes.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .thresholds(steps(*colours))
        .mappings(spoken(words) if words else [])
    )


def density(title, description, buckets, width=8, height=8):
    """A heatmap of a histogram, from the buckets' selector: how many observations were how large, over time."""
    target = query(f"sum by (le) (increase({buckets}[R]))", "{{le}}").format("heatmap")
    return (
        panel(heatmap, title, description, "none", [target], width, height)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmaps.HeatmapColorMode.SCHEME)
            .scheme("Turbo")
            .scale(heatmaps.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
            .fill("dark-orange")
        )
        .show_value(shapes.VisibilityMode.NEVER)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
    )


def timeline(title, description, words, *queries, width=24, height=4):
    """States over time, in words."""
    return (
        panel(statetimeline, title, description, "none", queries, width, height)
        .show_value(shapes.VisibilityMode.AUTO)
        .mappings(spoken(words))
    )


def spoken(words):
    """Words and colours of values."""
    return [models.ValueMap(options={value: word(*text) for value, text in words.items()})]


def rows(title, description, unit, *queries, width=12, height=8, names=None, hidden=(), columns=None):
    """A table of the latest values: one line for each set of labels, one column for each query. `columns` are the settings of
    single ones, by their shown names."""
    built = panel(table, title, description, unit, queries, width, height).show_header(True).filterable(False)
    built.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    shown = {"excludeByName": {name: True for name in ("Time", *hidden)}, "renameByName": names or {}, "indexByName": {}}
    built.with_transformation(models.DataTransformerConfig(id_val="organize", options=shown))
    for name, settings in (columns or {}).items():
        values = [models.DynamicConfigValue(id_val=key, value=value) for key, value in settings.items()]
        built.override_by_name(name, values)
    return built


def coloured(*pairs, unit="none"):
    """The settings of a column whose cells have the colours of thresholds."""
    built = [{"value": value, "color": colour} for value, colour in pairs]
    return {
        "unit": unit,
        "custom.cellOptions": {"type": "color-background", "mode": "basic"},
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": built},
    }


def in_words(words):
    """The settings of a column whose values are shown as coloured words."""
    options = {value: {"text": text, "color": colour, "index": 0} for value, (text, colour) in words.items()}
    return {"custom.cellOptions": {"type": "color-text"}, "mappings": [{"type": "value", "options": options}]}


def cells(expr):
    """A query of a table."""
    return query(expr, instant=True).format("table")


def steps(*pairs):
    """Thresholds of colours; None: the base colour."""
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=colour) for value, colour in pairs])
    )


def word(text, colour):
    return models.ValueMappingResult(text=text, color=colour, index=0)


class Mark(models.AnnotationQuery):
    """An annotation whose instant is the value of a series; the SDK lacks these members of Grafana's Prometheus datasource."""

    def __init__(self, name, colour, expr, title, text, value_is_time=True):
        super().__init__(name=name, datasource=SOURCE, enable=True, icon_color=colour, expr=promql(expr))
        self.extra = {"step": "15s", "titleFormat": title, "textFormat": text, "tagKeys": "", "useValueForTime": value_is_time}

    def to_json(self):
        return super().to_json() | self.extra

    def build(self):
        return self


def variable(name, label, expr, several=True):
    """A variable of label values. All: `.+`, so that it matches series that appear while the board is open."""
    built = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(promql(expr))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(several)
        .include_all(several)
        .allow_custom_value(False)
    )
    if several:
        built.all_value(".+").current(models.VariableOption(selected=True, text="All", value="$__all"))
    return built


def board(uid, title, description, *metrics, sale=False, minutes=15):
    """An empty board with its variables: the datasource, and job, instance (and sale) as `metrics` have them."""
    name = metrics[0] if len(metrics) == 1 else ""
    others = [] if name else [f'__name__=~"{"|".join(metrics)}"']
    of_job = ", ".join([*others, 'job=~"$job"'])
    selector = name or "{" + others[0] + "}"
    built = (
        dashboard.Dashboard(f"Launchgate: {title}")
        .uid(uid)
        .description(description)
        .tags(["launchgate"])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .time(f"now-{minutes}m", "now")
        .refresh("5s")
        .timepicker(dashboard.TimePicker().refresh_intervals(["1s", "5s", "15s", "1m", "5m"]))
        .link(
            dashboard.DashboardLink("Launchgate")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["launchgate"])
            .keep_time(True)
            .include_vars(True)
            .as_dropdown(False)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus").multi(False).include_all(False)
        )
        .with_variable(variable("job", "Job", f"label_values({selector}, job)"))
        .with_variable(variable("instance", "Instance", f"label_values({name}{{{of_job}}}, instance)"))
    )
    if sale:
        built.with_variable(
            variable("sale", "Sale", "label_values(launchgate_sale_opens_timestamp_seconds{G}, sale)", several=False)
        )
    return built


def add(built, row, *panels):
    """A row with its panels."""
    built.with_row(dashboard.Row(row))
    for each in panels:
        built.with_panel(each)


def as_json(built):
    """The board as a tree of plain values; panels are numbered in their order, for stable links."""
    from json import loads

    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    tree = loads(JSONEncoder().encode(built.build()))
    for number, each in enumerate(tree["panels"], 1):
        each["id"] = number
    return tree
