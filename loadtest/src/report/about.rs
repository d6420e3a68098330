//! Writes the sections of the page that say what a run was made with and against.

use crate::base::identity::Identity;
use crate::proof::run_record::{Listener, TargetInfo};
use crate::report::markdown::Markdown;
use crate::report::page::{TIMES, grouped, times};
use crate::verdict::{GatewaySummary, Verdict};

/// All requests by the gateway that was asked.
pub(super) fn gateways(body: &mut Markdown, verdict: &Verdict) {
    if verdict.gateways.is_empty() {
        return;
    }
    body.heading("Gateways");
    body.paragraph(
        "All requests to each gateway, of all names, from being sent to the answer; one that was lost counts as long as \
         its client would have waited.",
    );
    let row = |of: &GatewaySummary| {
        let counts = [of.sent, of.failed, of.limited, of.shed, of.lost].map(grouped);
        let rate = format!("{:.1}/s", of.rate);
        [of.gateway.clone()].into_iter().chain(counts).chain([rate]).chain(times(&of.latency_ms)).collect()
    };
    let head = ["Gateway", "Sent", "Failed", "Limited", "Shed", "Lost", "Rate"];
    let rows: Vec<Vec<String>> = verdict.gateways.iter().map(row).collect();
    body.table(&[&head, &TIMES[..]].concat(), 1..12, &rows);
}

/// What the run was made with and against; of a merged run, the parts, too.
pub(super) fn identity(body: &mut Markdown, verdict: &Verdict) {
    let identity = &verdict.identity;
    body.heading("This run");
    made_with(body, identity);
    if !verdict.targets.is_empty() {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".to_owned());
        let row = |target: &TargetInfo| {
            let listener = match target.listener {
                Listener::Public => "gateway",
                Listener::Ops => "ops",
            };
            vec![listener.to_owned(), target.url.clone(), known(&target.version), known(&target.durability)]
        };
        let rows: Vec<Vec<String>> = verdict.targets.iter().map(row).collect();
        body.table(&["Target", "Address", "Version", "Durability"], 0..0, &rows);
    }
    for part in &identity.parts {
        body.paragraph("A part of it:");
        made_with(body, part);
    }
}

fn made_with(body: &mut Markdown, identity: &Identity) {
    let rows = [
        ("run", identity.run_id.clone()),
        ("program", identity.tool.clone()),
        ("profile", identity.profile.words()),
        ("machine", identity.machine.words()),
    ];
    body.table(&["Identity", ""], 0..0, &rows.map(|(name, value)| vec![name.to_owned(), value]));
    body.verbatim(&identity.command_line);
}
