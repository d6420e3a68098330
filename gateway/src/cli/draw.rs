//! `gateway draw`: the seed, the published file, and its verification.

use std::path::Path;

use crate::cli::args::ConfirmArgs;
use crate::cli::confirm::{ConfirmPrompt, confirm};
use crate::cli::show::summary;
use crate::domain::draw::{BEACON_BYTES_MAX, REVEAL_BYTES_MAX, REVEAL_BYTES_MIN};
use crate::domain::hex;
use crate::draw::file::{self, Head, Verified};
use crate::manage::admin::{Admin, DrawOutcome};
use crate::projection::read_model::{Drawn, Entrants};
use crate::terminal::{CommandError, print};

/// What drawing does to buyers.
const EFFECT: &str =
    "Fixes the order of all who signed up, for good: from `opens_at` on they are given holds in this order.";

/// Draws.
pub(super) async fn draw(
    admin: &Admin,
    sale: &str,
    (reveal, beacon): (&Path, &str),
    confirm_args: ConfirmArgs,
) -> Result<(), CommandError> {
    let reveal = read_reveal(reveal)?;
    let beacon = hex::decode(beacon)
        .filter(|bytes| (1..=BEACON_BYTES_MAX).contains(&bytes.len()))
        .ok_or_else(|| {
            let what = "--beacon: expected hexadecimal digits, two a byte, of 1 to";
            CommandError::Usage(format!("{what} {BEACON_BYTES_MAX} bytes: nothing was done"))
        })?;
    let what = format!("draw {sale}");
    let meaning = vec![format!("The beacon is {} ({} bytes).", hex::encode(&beacon), beacon.len())];
    let prompt = ConfirmPrompt { what, meaning, effect: EFFECT, word: sale, is_final: false };
    let by = confirm(&prompt, confirm_args, summary(admin, sale)).await?;
    match admin.draw(sale, &reveal, &beacon, &by).await? {
        DrawOutcome::Done { seed, is_new: true } => print(&format!("{sale}: drawn, with the seed {seed}\n")),
        DrawOutcome::Done { seed, is_new: false } => {
            print(&format!("{sale}: drawn before, with the same seed {seed}: nothing was done\n"))
        }
        DrawOutcome::None => Err(CommandError::No(format!("{sale} has no draw: nothing was done"))),
        DrawOutcome::Unfixed => Err(CommandError::No(format!(
            "the entrants of {sale} are not fixed yet: nothing was done. A gateway fixes them within seconds after the end of sign-up"
        ))),
        DrawOutcome::NotCommitted { found, commitment } => Err(CommandError::No(format!(
            "the reveal has the SHA-256 {found}, and {sale} is committed to {commitment}: nothing was done. Give the file whose SHA-256 that is"
        ))),
        DrawOutcome::Drawn(seed) => Err(CommandError::No(format!(
            "{sale} was drawn before, with the seed {seed}: there is no second draw, nothing was done"
        ))),
        DrawOutcome::Closed => Err(CommandError::No(format!("{sale} is closed: nothing was done"))),
    }
}

fn read_reveal(path: &Path) -> Result<Vec<u8>, CommandError> {
    let bytes = std::fs::read(path)
        .map_err(|error| CommandError::Usage(format!("--reveal: can't read {}: {error}", path.display())))?;
    if (REVEAL_BYTES_MIN..=REVEAL_BYTES_MAX).contains(&bytes.len()) {
        return Ok(bytes);
    }
    let (file, found) = (path.display(), bytes.len());
    Err(CommandError::Usage(format!(
        "--reveal: expected {REVEAL_BYTES_MIN} to {REVEAL_BYTES_MAX} bytes, as `openssl rand -hex 32` makes, and {file} has {found}: nothing was done"
    )))
}

/// Shows how far a draw is.
pub(super) async fn show(admin: &Admin, sale: &str) -> Result<(), CommandError> {
    let Some((terms, draw)) = admin.draw_state(sale).await? else {
        return Err(CommandError::No(format!("{sale} has no draw")));
    };
    let mut text = format!("commitment {}\nbeacon     {}\n", terms.commitment, terms.beacon);
    match &draw.entrants {
        Some(Entrants { root, count }) => {
            text += &format!("root       {}\nentrants   {count}\n", hex::encode(root))
        }
        None => text += "entrants   not fixed yet\n",
    }
    match &draw.drawn {
        Some(Drawn { reveal, beacon, seed }) => {
            let seed = hex::encode(&seed.0);
            text += &format!("reveal     {reveal}\nbeacon was {beacon}\nseed       {seed}\n");
        }
        None => text += "seed       not drawn yet\n",
    }
    print(&text)
}

/// Publishes the file.
pub(super) async fn publish(admin: &Admin, sale: &str, path: &Path) -> Result<(), CommandError> {
    let head = file::publish(admin, sale, path).await?;
    print(&format!("{}: {}\n", path.display(), summarize(&head)))
}

/// Verifies a file.
pub(super) fn verify(path: &Path) -> Result<(), CommandError> {
    let Verified { head, holds } = file::verify(path)?;
    let what = match (&head.seed, holds) {
        (None, _) => "the entrants have this root; nothing was drawn yet".to_owned(),
        (Some(_), None) => "root, seed and all ranks follow from it; the allocation was not over".to_owned(),
        (Some(_), Some(holds)) => {
            format!(
                "root, seed, all ranks and all models follow from it; {holds} entrants got a hold at once"
            )
        }
    };
    let stock = |(model, stock): (&String, &Option<u64>)| {
        format!("{model} {}", stock.map_or("without a limit".to_owned(), |stock| stock.to_string()))
    };
    let stock = head.stock.iter().flatten().map(stock).collect::<Vec<_>>().join(", ");
    let mut text = format!("{}: {}: {what}\n", path.display(), summarize(&head));
    text += "compare with what was public before:\n";
    text += &format!("  commitment {}\n  beacon     {}\n", head.commitment, head.beacon_rule);
    if let Some(beacon) = &head.beacon {
        text += &format!("  beacon was {beacon}\n");
    }
    if !stock.is_empty() {
        text += &format!("  stock      {stock}\n");
    }
    print(&text)
}

fn summarize(Head { sale, entrants, root, .. }: &Head) -> String {
    format!("the draw of {sale}, {entrants} entrants, root {root}")
}
