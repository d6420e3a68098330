//! Adds to goose's own report, `goose.html`, the verdict on top, and a word where its charts can't be drawn.

use std::path::Path;

use crate::base::failure::Failure;
use crate::load::output::GOOSE;
use crate::report::html::escaped;

/// Goose's own title; what is added stands under it.
const TITLE: &str = "<h1>Goose Attack Report</h1>";

/// Removes goose's charts, which need a script from the network, and notes this for the reader.
const WITHOUT_CHARTS: &str = r#"<script>
if (typeof echarts === "undefined") {
    document.querySelectorAll(".graph").forEach((box) => { box.style.display = "none"; });
    document.getElementById("no-charts").hidden = false;
}
</script>
"#;

/// Adds to the report in this folder, if goose wrote one. A page that looks otherwise than expected stays as it is.
pub(crate) fn dress(dir: &Path, verdict: &str) -> Result<(), Failure> {
    let path = dir.join(GOOSE);
    let outside = |error: std::io::Error| {
        Failure::Outside(format!(
            "{}: {error}: make the folder writable, or give another --report",
            path.display()
        ))
    };
    let page = match std::fs::read_to_string(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(outside(error)),
    };
    match dressed(&page, verdict) {
        Some(page) => std::fs::write(&path, page).map_err(outside),
        None => Ok(()),
    }
}

fn dressed(page: &str, verdict: &str) -> Option<String> {
    let (head, rest) = page.split_once(TITLE)?;
    let (body, tail) = rest.rsplit_once("</body>")?;
    Some(format!(
        "{head}{TITLE}\n<p><b>{}</b></p>\n<p>This is the view of the load generator alone. The outcomes, the \
         ledger's equations and each broken rule are in report.html and verdict.json beside this page. A refusal that \
         the contract allows is not a failure here.</p>\n\
         <p id=\"no-charts\" hidden>The charts need the network, which is not there; the tables have all figures, and \
         report.html has charts of its own.</p>\
         {body}{WITHOUT_CHARTS}</body>{tail}",
        escaped(verdict)
    ))
}

#[cfg(test)]
mod tests;
