//! Is a sale as it was meant, in the ledger and in the gateway that serves it? Facts in, lines out.

use std::collections::HashMap;

use crate::doctor::definition;
use crate::doctor::report::{Finding, Findings, Severity};
use crate::doctor::words::{self, some};
use crate::domain::definition::{Definition, Mistake};
use crate::domain::sale::SaleControls;
use crate::manage::audit::{AuditReport, AuditVerdict as Audited};

/// A sale, as the ledger has it, and as its file says.
#[derive(Debug)]
pub(super) struct SaleFacts {
    /// Its id.
    pub id: String,
    /// Redis's clock, in ms.
    pub now_ms: i64,
    /// What the ledger has; `None`: no such sale.
    pub applied: Result<Option<AppliedSale>, String>,
    /// Its file, if one was named.
    pub file: Option<(String, Definition)>,
    /// The audit; `None` where there is nothing to audit.
    pub audit: Option<Result<AuditReport, String>>,
    /// The sequence up to which the gateway that runs here has followed it; `Some(None)`: it does not know it.
    pub followed: Option<Option<u64>>,
    /// Whether any gateway lives.
    pub is_served: bool,
}

/// A sale in the ledger.
#[derive(Debug)]
pub(super) struct AppliedSale {
    /// As last applied.
    pub definition: Definition,
    /// Of the definition.
    pub revision: u64,
    /// Of the ledger.
    pub sequence: u64,
    /// As they are pulled.
    pub controls: SaleControls,
    /// Held, confirmed, cancelled, expired.
    pub counts: [u64; 4],
    /// The ledger was last served by the Redis process that runs now.
    pub is_same_redis: bool,
}

impl SaleFacts {
    /// Whether it takes no reservation any more.
    pub(super) fn is_over(&self) -> bool {
        let of = |applied: &AppliedSale| applied.controls.closed || self.now_ms >= applied.controls.closes;
        matches!(&self.applied, Ok(Some(applied)) if of(applied))
    }
}

impl AppliedSale {
    /// Reservations that were ever started.
    pub(super) fn started(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// A definition's file that can't be taken.
pub(super) fn mistakes(file: &str, mistakes: &[Mistake]) -> Vec<Finding> {
    let mut lines = Findings::of(format!("file {file}"));
    for mistake in mistakes {
        lines.fail("definition", mistake.to_string(), "mend the file: it can't be applied");
    }
    lines.end()
}

/// Every check of one sale.
pub(super) fn check(facts: &SaleFacts) -> Vec<Finding> {
    let mut lines = Findings::of(format!("sale {}", facts.id));
    let of_file = facts.file.as_ref().map(|(_, definition)| definition);
    match &facts.applied {
        Ok(Some(applied)) => {
            check_applied(facts, applied, &mut lines);
            definition::check(&applied.definition, facts.now_ms, &mut lines);
            check_restocks(facts, applied, &mut lines);
            check_controls(applied, &mut lines);
            check_reservations(facts, applied, &mut lines);
        }
        Ok(None) => {
            let todo = match &facts.file {
                Some((file, _)) => format!("gateway sale apply {file}"),
                None => {
                    "`gateway sale list` lists those that there are; apply it, or correct its name".into()
                }
            };
            lines.fail("ledger", "there is no such sale in Redis", todo);
            of_file.into_iter().for_each(|file| definition::check(file, facts.now_ms, &mut lines));
        }
        Err(why) => {
            lines.fail(
                "ledger",
                why,
                "look with `gateway audit`; a restored copy of Redis's files may be needed",
            );
            of_file.into_iter().for_each(|file| definition::check(file, facts.now_ms, &mut lines));
        }
    }
    check_audit(facts, &mut lines);
    lines.end()
}

fn check_applied(facts: &SaleFacts, applied: &AppliedSale, lines: &mut Findings) {
    let AppliedSale { revision, sequence, .. } = applied;
    lines.ok("ledger", format!("at revision {revision}, sequence {sequence}"));
    if let Some((file, definition)) = &facts.file {
        if *definition == applied.definition {
            lines.ok("file", format!("{file} is what is applied"));
        } else {
            let differing = words::differing(&definition.to_json(), &applied.definition.to_json());
            let found = format!("{file} says something else than what is applied, in {}", some(&differing));
            lines.fail("file", found, format!("gateway sale apply {file}, or name the file that was"));
        }
    }
    if !applied.is_same_redis {
        let found = "Redis was restarted since this sale was last served: it stands still until its ledger is looked through";
        if facts.is_served {
            let todo = "the gateways that run do that by themselves within seconds: if this stays, see their log, and /readyz";
            lines.fail("epoch", found, todo);
        } else {
            lines.warn("epoch", found, "the first gateway that starts does it");
        }
    }
    match facts.followed {
        Some(Some(at)) if at >= *sequence => {
            lines.ok("read-model", format!("the gateway that runs here knows it, at sequence {at}"))
        }
        Some(Some(at)) => {
            let found = format!("the gateway that runs here knows it only up to sequence {at}");
            lines.warn("read-model", found, "look again: if it stays behind, see its log, and /readyz");
        }
        Some(None) => {
            let found = "the gateway that runs here does not know it";
            lines.fail("read-model", found, "is it at the same Redis? see its log, and /readyz");
        }
        None => {}
    }
}

/// What was restocked since it was applied: a definition that is applied again sets nothing back.
fn check_restocks(facts: &SaleFacts, applied: &AppliedSale, lines: &mut Findings) {
    let Some(Ok(report)) = &facts.audit else { return };
    let models = applied.definition.models.iter().map(|m| (format!("model:{}", m.id), m.stock));
    let packages = applied.definition.packages.iter().map(|p| (format!("package:{}", p.id), p.stock));
    let stores = applied.definition.stores.iter().map(|s| (format!("store:{}", s.id), s.capacity));
    let defined: HashMap<String, Option<u64>> = models.chain(packages).chain(stores).collect();
    let changed = report.items.iter().filter_map(|item| {
        let (was, now) = ((*defined.get(&item.item)?)?, item.total?);
        (i64::try_from(was) != Ok(now)).then(|| format!("{} from {was} to {now}", item.item))
    });
    let changed: Vec<String> = changed.collect();
    if !changed.is_empty() {
        let found = format!("restocked since it was applied: {}", some(&changed));
        lines.warn("restocks", found, "left of a rehearsal? `gateway sale restock` sets it back");
    }
}

fn check_controls(applied: &AppliedSale, lines: &mut Findings) {
    let SaleControls { paused, frozen, closed, .. } = applied.controls;
    let id = &applied.definition.sale.id;
    if closed {
        lines.fail("controls", "it was closed, for good", "apply the definition under another id");
    } else if paused || frozen {
        let performed = [(paused, "paused", "resume"), (frozen, "frozen", "unfreeze")];
        let performed: Vec<_> = performed.into_iter().filter(|(is_pulled, ..)| *is_pulled).collect();
        let found = performed.iter().map(|(_, what, _)| *what).collect::<Vec<_>>().join(" and ");
        let todo = performed
            .iter()
            .map(|(.., undo)| format!("gateway sale {undo} {id}"))
            .collect::<Vec<_>>()
            .join("; ");
        lines.warn("controls", format!("it is {found}"), todo);
    } else {
        lines.ok("controls", "none is pulled");
    }
}

fn check_reservations(facts: &SaleFacts, applied: &AppliedSale, lines: &mut Findings) {
    let [held, confirmed, cancelled, expired] = applied.counts;
    let found = format!("{held} held, {confirmed} confirmed, {cancelled} cancelled, {expired} expired");
    if applied.started() > 0 && facts.now_ms < applied.controls.opens {
        let found = format!("{found}, before it opens");
        lines.warn("reservations", found, "left by a rehearsal? The real sale needs an id of its own");
    } else {
        lines.ok("reservations", found);
    }
}

fn check_audit(facts: &SaleFacts, lines: &mut Findings) {
    match &facts.audit {
        None => {}
        Some(Err(why)) => lines.fail("audit", why, "look again; `gateway audit` tells more"),
        Some(Ok(report)) => match report.verdict {
            Audited::Balanced => lines.ok("audit", format!("balanced at sequence {}", report.sequence)),
            Audited::Drift => {
                let drifting = report.items.iter().filter(|item| item.drift != 0);
                let listed: Vec<String> = (report.problems.iter().cloned())
                    .chain(drifting.map(|item| format!("{} drifts by {}", item.item, item.drift)))
                    .collect();
                let todo = "pause it, and find out who wrote into Redis; dashboards/RUNBOOK.md says how";
                lines.add_with_severity(Severity::Fail, "audit", some(&listed), todo);
            }
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use super::*;
    use crate::doctor::report::without_passing;
    use crate::manage::audit::{Counts, ItemReport};

    /// 2030-01-01T00:00:00Z, an hour before it opens.
    const NOW: i64 = 1_893_456_000_000;

    fn small() -> Definition {
        let text = r#"{"sale": {"id": "small", "name": "S", "opens_at": "2030-01-01T01:00:00Z", "closes_at": "2030-01-03T00:00:00Z",
            "hold": "15m", "currency": "CNY"}, "model": [{"id": "a", "name": "A", "price": 1, "stock": 9}],
            "stores": [{"id": "s", "name": "S", "city": "C", "capacity": 9}]}"#;
        Definition::from_json(text.as_bytes()).unwrap()
    }

    fn applied() -> AppliedSale {
        let definition = small();
        let ms = jiff::Timestamp::as_millisecond;
        let (opens, closes) = (ms(definition.sale.opens_at), ms(definition.sale.closes_at));
        let controls = SaleControls { paused: false, frozen: false, closed: false, opens, closes };
        AppliedSale { definition, revision: 1, sequence: 7, controls, counts: [0; 4], is_same_redis: true }
    }

    fn report(verdict: Audited, drift: i64, problems: &[&str]) -> AuditReport {
        let item = ItemReport {
            item: "model:a".into(),
            total: Some(9),
            free: Some(9),
            held: 0,
            confirmed: 0,
            drift,
        };
        let problems = problems.iter().map(|text| (*text).to_owned()).collect();
        let reservations = Counts::default();
        AuditReport { sale: "small".into(), sequence: 7, verdict, items: vec![item], reservations, problems }
    }

    fn good() -> SaleFacts {
        SaleFacts {
            id: "small".into(),
            now_ms: NOW,
            applied: Ok(Some(applied())),
            file: Some(("sale.toml".into(), small())),
            audit: Some(Ok(report(Audited::Balanced, 0, &[]))),
            followed: Some(Some(7)),
            is_served: true,
        }
    }

    fn with(change: impl FnOnce(&mut AppliedSale)) -> SaleFacts {
        let mut applied = applied();
        change(&mut applied);
        SaleFacts { applied: Ok(Some(applied)), ..good() }
    }

    fn bad(facts: &SaleFacts) -> Vec<(&'static str, Severity)> {
        without_passing(check(facts))
    }

    #[test]
    fn what_was_restocked_is_reported_and_where_a_file_differs() {
        let mut restocked = report(Audited::Balanced, 0, &[]);
        restocked.items[0].total = Some(11);
        let facts = SaleFacts { audit: Some(Ok(restocked)), ..good() };
        assert_eq!(bad(&facts), [("restocks", Severity::Warn)]);
        assert!(check(&facts).iter().any(|line| line.found.contains("model:a from 9 to 11")));
        let mut other = small();
        other.models[0].price = 2;
        let facts = SaleFacts { file: Some(("sale.toml".into(), other)), ..good() };
        assert!(
            check(&facts).iter().any(|line| line.found.ends_with("in /model/0/price")),
            "{:?}",
            check(&facts)
        );
    }

    #[test]
    fn a_sale_that_waits_for_its_opening_is_well() {
        assert_eq!(bad(&good()), []);
        assert_eq!(
            bad(&SaleFacts { followed: None, file: None, audit: None, is_served: false, ..good() }),
            []
        );
    }

    #[test]
    fn what_stands_in_its_way_is_reported() {
        use Severity::{Fail, Warn};
        let mut other = small();
        other.models[0].stock = Some(8);
        let drift = |report| SaleFacts { audit: Some(report), ..good() };
        for (facts, check, verdict) in [
            (SaleFacts { applied: Ok(None), audit: None, ..good() }, "ledger", Fail),
            (SaleFacts { applied: Ok(None), audit: None, file: None, ..good() }, "ledger", Fail),
            (SaleFacts { applied: Err("damaged".into()), audit: None, ..good() }, "ledger", Fail),
            (SaleFacts { file: Some(("f".into(), other)), ..good() }, "file", Fail),
            (with(|of| of.is_same_redis = false), "epoch", Fail),
            (SaleFacts { is_served: false, ..with(|of| of.is_same_redis = false) }, "epoch", Warn),
            (SaleFacts { followed: Some(Some(6)), ..good() }, "read-model", Warn),
            (SaleFacts { followed: Some(None), ..good() }, "read-model", Fail),
            (with(|of| of.controls.closed = true), "controls", Fail),
            (with(|of| of.controls.paused = true), "controls", Warn),
            (with(|of| of.controls.frozen = true), "controls", Warn),
            (with(|of| of.counts = [0, 0, 0, 1]), "reservations", Warn),
            (drift(Ok(report(Audited::Drift, 1, &[]))), "audit", Fail),
            (drift(Ok(report(Audited::Drift, 0, &["a key is gone"]))), "audit", Fail),
            (drift(Err("no answer".into())), "audit", Fail),
        ] {
            assert_eq!(bad(&facts), [(check, verdict)], "{facts:?}");
        }
        // Once it is open reservations are what it is for.
        let mut open = with(|of| of.counts = [3, 0, 0, 0]);
        open.now_ms += 7_200_000;
        assert_eq!(bad(&open), [("dates", Warn)]);
    }

    #[test]
    fn what_to_do_names_the_sale_and_all_that_is_pulled() {
        let facts = with(|of| (of.controls.paused, of.controls.frozen) = (true, true));
        let line = check(&facts).into_iter().find(|line| line.check == "controls").unwrap();
        assert_eq!(line.found, "it is paused and frozen");
        assert_eq!(line.todo.as_deref(), Some("gateway sale resume small; gateway sale unfreeze small"));
        let facts = SaleFacts { applied: Ok(None), audit: None, ..good() };
        assert_eq!(check(&facts)[0].todo.as_deref(), Some("gateway sale apply sale.toml"));
    }

    #[test]
    fn every_mistake_of_a_file_is_a_line() {
        let slips = Definition::from_json(br#"{"sale": {"id": "A"}}"#).unwrap_err();
        let lines = mistakes("sale.toml", &slips);
        assert_eq!(lines.len(), slips.len());
        assert!(lines.iter().all(|line| line.verdict == Severity::Fail && line.area == "file sale.toml"));
    }
}
