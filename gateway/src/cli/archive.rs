//! `gateway sale export`, `import` and `purge`: a sale after its launch.

use std::path::Path;

use crate::cli::args::ConfirmArgs;
use crate::cli::confirm::{ConfirmPrompt, confirm};
use crate::cli::sale::state;
use crate::manage::admin::Admin;
use crate::manage::archive::{self, Head, PURGE_EFFECT, Trouble};
use crate::manage::audit::Verdict;
use crate::terminal::{Failed, print};

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Ledger(failure) => failure.into(),
            Trouble::File(why) => Self::Usage(why),
            Trouble::Disk(why) => Self::Outside(why),
            Trouble::Refused(why) => Self::No(why),
        }
    }
}

/// What a file has, on one line.
fn told(head: &Head) -> String {
    let reservations = head.audit.reservations;
    let all = reservations.held + reservations.confirmed + reservations.cancelled + reservations.expired;
    format!("{} at sequence {}, {all} reservations", head.sale, head.audit.sequence)
}

pub(super) async fn write(admin: &Admin, sale: &str, file: &Path) -> Result<(), Failed> {
    let head = archive::export(admin, sale, file).await?;
    let printed = print(&format!("{}: {}\n", file.display(), told(&head)));
    match head.audit.verdict {
        Verdict::Balanced => printed,
        Verdict::Drift => Err(Failed::No(format!(
            "it is exported as it is, and its ledger drifts: {}",
            head.audit.first_problem().unwrap_or_default()
        ))),
    }
}

pub(super) async fn read(admin: &Admin, file: &Path) -> Result<(), Failed> {
    let head = archive::import(admin, file).await?;
    print(&format!("{}; its audit is the same as that of the export\n", told(&head)))
}

pub(super) async fn purge(
    admin: &Admin,
    sale: &str,
    export: &Path,
    confirm_args: ConfirmArgs,
) -> Result<(), Failed> {
    let prompt = ConfirmPrompt { what: format!("purge {sale}"), effect: PURGE_EFFECT, word: sale };
    let by = confirm(&prompt, confirm_args, state(admin, sale)).await?;
    archive::purge(admin, sale, export, &by).await?;
    print(&format!("{sale}: purged; {} has it\n", export.display()))
}
