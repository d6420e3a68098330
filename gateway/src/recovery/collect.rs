//! Submits this gateway's recovery report, and reads those of all.

use std::sync::LazyLock;

use redis::RedisResult;
use redis::aio::ConnectionLike;

use crate::projection::read_model::{INCARNATION, Sale};
use crate::recovery::failover::Fence;
use crate::recovery::missing::MissingChange;
use crate::recovery::report::{RecoveryReport, RecoveryReports};
use crate::store::keys::Keys;
use crate::store::reply::{self, list_of_texts, shape, unreadable};

static SUBMIT_REPORT: LazyLock<redis::Script> =
    LazyLock::new(|| redis::Script::new(include_str!("../store/lua/submit_report.lua")));

/// Bytes of one call, in reports as in replays.
pub(super) const CHUNK: usize = 256 << 10;

/// Where a ledger is: its incarnation and its sequence. One of the first format has no incarnation, and is taken for the known one.
pub(super) async fn read_position(conn: &mut impl ConnectionLike, sale: &Sale) -> RedisResult<(String, u64)> {
    let mut fields = redis::cmd("HMGET");
    fields.arg(sale.keys.state()).arg(INCARNATION).arg("sequence");
    let (incarnation, sequence): (Option<String>, Option<u64>) = fields.query_async(conn).await?;
    Ok((incarnation.unwrap_or_else(|| sale.incarnation().to_owned()), sequence.unwrap_or_default()))
}

/// Submits what this gateway has read and acknowledged beyond the ledger, unless it has done so since its last change.
pub(super) async fn submit_report(
    conn: &mut impl ConnectionLike,
    sale: &Sale,
    fence: &mut Fence,
    gateway: &str,
) -> RedisResult<()> {
    let (incarnation, sequence) = read_position(conn, sale).await?;
    let (report, last, (mut read, mut acknowledged)) = {
        let mut buffer = sale.acknowledged();
        // Whatever is acknowledged from now on would be in no report.
        buffer.close();
        let report = RecoveryReport {
            incarnation: sale.incarnation().to_owned(),
            known: sale.known_sequence(),
            since: buffer.since(),
            peers: fence.peers.clone(),
            late_at: buffer.late_at(),
        };
        (report, buffer.last(), buffer.entries_after(sequence))
    };
    if incarnation != sale.incarnation() {
        // Entries of another incarnation are never replayed: only that there is another one counts.
        (read, acknowledged) = (Vec::new(), Vec::new());
    }
    let state = (report.known, last);
    if fence.submitted == Some(state) {
        return Ok(());
    }
    // An entry that can't be read goes in as an empty one: the plan must not take it for a change that no gateway acknowledged.
    let json = |change: Option<MissingChange>| change.map(|change| to_json(&change)).unwrap_or_default();
    let read =
        read.iter().map(|(at, entry)| (format!("r:{at}"), json(MissingChange::from_entry(&sale.id, entry))));
    let acknowledged = acknowledged
        .iter()
        .map(|one| (format!("t:{}:{gateway}", one.sequence), json(MissingChange::from_acknowledged(one))));
    // The report itself comes last: from then on no gateway waits for this one.
    let own = (format!("g:{gateway}"), to_json(&report));
    let fields: Vec<(String, String)> = read.chain(acknowledged).chain([own]).collect();
    send_fields(conn, sale, fence, &fields).await?;
    fence.submitted = Some(state);
    Ok(())
}

async fn send_fields(
    conn: &mut impl ConnectionLike,
    sale: &Sale,
    fence: &Fence,
    fields: &[(String, String)],
) -> RedisResult<()> {
    let mut rest = fields;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(field, value)| {
            let was = bytes;
            bytes += field.len() + value.len();
            was < CHUNK
        });
        let (call, later) = rest.split_at(fits.count());
        let mut script = SUBMIT_REPORT.prepare_invoke();
        script.key(sale.keys.recovery()).key(sale.keys.state());
        script.arg(&[&*fence.old_epoch, &*fence.new_epoch, sale.incarnation()][..]);
        for (field, value) in call {
            script.arg(field).arg(value);
        }
        // An epoch that was adopted meanwhile is found by the next tick.
        script.invoke_async::<redis::Value>(conn).await?;
        rest = later;
    }
    Ok(())
}

/// All reports; without the entries they are small.
pub(super) async fn read_reports(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    with_entries: bool,
) -> RedisResult<RecoveryReports> {
    let fields = if with_entries {
        let all = redis::cmd("HGETALL").arg(keys.recovery()).query_async(conn).await?;
        reply::map("HGETALL", &all)?.into_iter().collect()
    } else {
        let names = redis::cmd("HKEYS").arg(keys.recovery()).query_async(conn).await?;
        let names = list_of_texts("HKEYS", &names)?;
        let names: Vec<String> = names.into_iter().filter(|name| name.starts_with(['g', 'x'])).collect();
        if names.is_empty() {
            return Ok(RecoveryReports::default());
        }
        let values: redis::Value =
            redis::cmd("HMGET").arg(keys.recovery()).arg(&names).query_async(conn).await?;
        let texts = reply::texts(&values).filter(|texts| texts.len() == names.len());
        let texts = texts.ok_or_else(|| unreadable("HMGET", "a text for each field", &shape(&values)))?;
        names.into_iter().zip(texts).collect()
    };
    Ok(RecoveryReports::parse(&fields))
}

/// As `lua/replay.lua` reads it.
pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
