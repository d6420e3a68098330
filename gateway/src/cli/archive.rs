//! `gateway sale export`, `import` and `purge`.

use std::path::Path;

use crate::cli::args::ConfirmArgs;
use crate::cli::confirm::{ConfirmPrompt, confirm};
use crate::cli::show::summary;
use crate::manage::admin::Admin;
use crate::manage::archive::{self, ArchiveHead, PURGE_EFFECT};
use crate::manage::audit::AuditVerdict;
use crate::manage::file_error::FileError;
use crate::terminal::{CommandError, print};

impl From<FileError> for CommandError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Ledger(failure) => failure.into(),
            FileError::File(why) => Self::Usage(why),
            FileError::Disk(why) => Self::Outside(why),
            FileError::Refused(why) => Self::No(why),
        }
    }
}

/// A summary of an export on one line.
fn summarize(head: &ArchiveHead) -> String {
    let reservations = head.audit.reservations;
    let all = reservations.held + reservations.confirmed + reservations.cancelled + reservations.expired;
    format!("{} at sequence {}, {all} reservations", head.sale, head.audit.sequence)
}

pub(super) async fn write(admin: &Admin, sale: &str, file: &Path) -> Result<(), CommandError> {
    let head = archive::export(admin, sale, file).await?;
    let printed = print(&format!("{}: {}\n", file.display(), summarize(&head)));
    match head.audit.verdict {
        AuditVerdict::Balanced => printed,
        AuditVerdict::Drift => Err(CommandError::No(format!(
            "it is exported as it is, and its ledger drifts: {}. See dashboards/runbook/sales.md#launchgateledgerdrift",
            head.audit.first_problem().unwrap_or_default()
        ))),
    }
}

pub(super) async fn read(admin: &Admin, file: &Path) -> Result<(), CommandError> {
    let head = archive::import(admin, file).await?;
    print(&format!("{}; its audit is the same as that of the export\n", summarize(&head)))
}

pub(super) async fn purge(
    admin: &Admin,
    sale: &str,
    export: &Path,
    confirm_args: ConfirmArgs,
) -> Result<(), CommandError> {
    let prompt = ConfirmPrompt {
        what: format!("purge {sale}"),
        meaning: Vec::new(),
        effect: PURGE_EFFECT,
        word: sale,
        is_final: false,
    };
    let by = confirm(&prompt, confirm_args, summary(admin, sale)).await?;
    archive::purge(admin, sale, export, &by).await?;
    print(&format!("{sale}: purged; {} has it\n", export.display()))
}
