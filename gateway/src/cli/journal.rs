//! `gateway journal`: prints the changes of a sale, and follows them.

use std::time::Duration;

use crate::manage::admin::{Admin, Fence, JournalRead};
use crate::store::journal::Cursor;
use crate::store::outage::Outage;
use crate::store::scripts::{Failure, Refusal};
use crate::terminal::{CommandError, print};

/// Entries of one read.
const ENTRIES: usize = 500;
/// How often a follower looks for new entries.
const WAIT: Duration = Duration::from_millis(200);
/// The delay before the next attempt after a failure.
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn run(
    admin: &Admin,
    sale: &str,
    follow: bool,
    from: Option<&str>,
) -> Result<(), CommandError> {
    let mut cursor =
        from.map(Cursor::parse).transpose().map_err(CommandError::Usage)?.unwrap_or(Cursor::START);
    if follow && !cursor.has_history() {
        return Err(CommandError::Usage(format!(
            "{cursor} names no history, so that --follow could skip a lost change: give --from the whole `cursor` of the last \
             line that you have, or leave --from out"
        )));
    }
    // A look-up: its reader does not go on from it.
    let is_look_up = !follow && (cursor == Cursor::START || !cursor.has_history());
    let fence = if is_look_up { Fence::Ignore } else { Fence::Respect };
    let outage = Outage::of("the journal can't be read; trying again");
    let mut has_read = false;
    loop {
        let page = match admin.journal(sale, cursor, ENTRIES, fence).await {
            Ok(JournalRead::Page(page)) => page,
            Ok(JournalRead::Forked(common)) => return Err(forked(sale, follow, &cursor, &common)),
            // Order systems follow for days: through restarts of Redis, recoveries, and a purge.
            Err(failure)
                if follow && (has_read || matches!(failure, Failure::Refused(Refusal::Epoch(_)))) =>
            {
                outage.record_failure(failure);
                tokio::time::sleep(RETRY).await;
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        if page.is_fenced && !has_read {
            tracing::warn!(sale, "the sale is fenced: recovery may still append changes to what is printed");
        }
        has_read = true;
        if page.has_unprotected {
            let failure = Failure::NotDone("too few replicas have the newest changes".into());
            if !follow {
                return Err(failure.into());
            }
            outage.record_failure(failure);
            tokio::time::sleep(RETRY).await;
            continue;
        }
        outage.record_success();
        let text: String = page.lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        print(&text)?;
        match page.lines.last() {
            Some((last, _)) => cursor = *last,
            None if follow => tokio::time::sleep(WAIT).await,
            None => return Ok(()),
        }
    }
}

fn forked(sale: &str, follow: bool, cursor: &Cursor, common: &Cursor) -> CommandError {
    let what = match common.sequence {
        0 => "no entry that the ledger still has is known to be common: the sale was purged and applied again, or very much \
              was lost"
            .to_owned(),
        at => format!("of the changes after {at}-0, one or more were lost"),
    };
    let follow = if follow { " --follow" } else { "" };
    CommandError::No(format!(
        "the journal of {sale} has forked: the change at {place} is not in the ledger's history; {what}. The last common \
         cursor is {common}. Take back what you have of this sale after it, then continue with `gateway journal \
         {sale}{follow} --from '{common}'`",
        place = place(cursor),
    ))
}

/// The part of a cursor that people read.
fn place(cursor: &Cursor) -> String {
    let text = cursor.to_string();
    text.split('~').next().unwrap_or_default().to_owned()
}
