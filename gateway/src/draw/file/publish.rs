//! Writes the published file of a draw.

use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::domain::draw::merkle::{MerkleTree, leaf};
use crate::domain::draw::{Pseudonym, Ranking, Secret};
use crate::domain::hex;
use crate::domain::reservation::DRAWN;
use crate::draw::entrants::{LedgerEntrants, check_root};
use crate::draw::file::{Head, VERSION};
use crate::manage::admin::Admin;
use crate::manage::file_error::{FileError, disk, unopened};
use crate::projection::read_model::Drawn;
use crate::store::journal::{self, Entry, Total};
use crate::store::scripts::Failure;

/// Journal entries of one read.
const ENTRIES: usize = 200;

/// Writes it into a new file.
///
/// # Errors
///
/// [`FileError::File`] if the file exists, or its folder does not; [`FileError::Refused`] if the sale has no draw, or its
/// entrants are not fixed. Then this leaves no file.
pub async fn publish(admin: &Admin, sale: &str, path: &Path) -> Result<Head, FileError> {
    let Some((terms, draw)) = admin.draw_state(sale).await? else {
        return Err(FileError::Refused(format!("{sale} has no draw")));
    };
    let Some(fixed) = draw.entrants else {
        let why =
            "the entrants are not fixed yet: a gateway does that within seconds after the end of sign-up";
        return Err(FileError::Refused(format!("{sale}: {why}")));
    };
    let entrants = LedgerEntrants { admin, sale, secret: &draw.secret, count: fixed.count };
    let root = hex::encode(&fixed.root);
    let (ranking, allocation) = match &draw.drawn {
        Some(drawn) => {
            let ranking = entrants.ranking(drawn.seed, &root).await?;
            (Some(ranking), Allocation::read(admin, sale, &draw.secret).await?)
        }
        None => (None, None),
    };
    let text = |text: fn(&Drawn) -> String| draw.drawn.as_ref().map(text);
    let head = Head {
        launchgate_draw: VERSION,
        sale: sale.to_owned(),
        commitment: terms.commitment,
        beacon_rule: terms.beacon,
        root,
        entrants: fixed.count,
        reveal: text(|drawn| drawn.reveal.clone()),
        beacon: text(|drawn| drawn.beacon.clone()),
        seed: text(|drawn| hex::encode(&drawn.seed.0)),
        stock: allocation.as_ref().map(|allocation| allocation.stock.clone()),
    };
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(unopened(path))?;
    let mut out = BufWriter::new(file);
    let outcome = write(&mut out, &head, &entrants, ranking, allocation).await;
    let outcome = match outcome {
        Ok(written) => written.and_then(|()| out.flush()).map_err(disk(path)),
        Err(failure) => Err(failure.into()),
    };
    if outcome.is_err() {
        // This process made the file, and it is incomplete.
        let _ = std::fs::remove_file(path);
    }
    outcome.map(|()| head)
}

async fn write(
    out: &mut impl Write,
    head: &Head,
    entrants: &LedgerEntrants<'_>,
    ranking: Option<Ranking>,
    allocation: Option<Allocation>,
) -> Result<std::io::Result<()>, Failure> {
    let mut written = serde_json::to_writer(&mut *out, head).map_err(Into::into).and_then(|()| writeln!(out));
    let mut line = |pseudonym: Pseudonym, choices: String| {
        let rank = ranking.as_ref().and_then(|ranking| ranking.rank(&pseudonym));
        let model = allocation.as_ref().and_then(|allocation| allocation.models.get(&pseudonym));
        let rank = rank.map_or("-".to_owned(), |rank| rank.to_string());
        writeln!(out, "{pseudonym} {choices} {rank} {}", model.map_or("-", String::as_str))
    };
    let mut tree = MerkleTree::default();
    let each = |pseudonym, choices: String| {
        tree.add(leaf(&pseudonym, &choices));
        if written.is_ok() {
            written = line(pseudonym, choices);
        }
    };
    entrants.by_pseudonym(|entrant| entrant.choices.to_owned(), each).await?;
    check_root(&tree, entrants.count, &head.root)?;
    Ok(written)
}

/// What was allocated, from the journal.
struct Allocation {
    stock: BTreeMap<String, Option<u64>>,
    /// By pseudonym; of who got one.
    models: HashMap<Pseudonym, String>,
}

impl Allocation {
    /// `None`: it is not over.
    async fn read(admin: &Admin, sale: &str, secret: &Secret) -> Result<Option<Self>, Failure> {
        let (keys, mut conn) = admin.open(sale).await?;
        let (mut at, mut has_begun) = (0, false);
        let mut found = Self { stock: BTreeMap::new(), models: HashMap::new() };
        loop {
            let values = journal::after(&mut conn, &keys, at, ENTRIES).await?;
            if values.is_empty() {
                return Ok(None);
            }
            for value in &values {
                let entry = Entry::parse(value).ok_or_else(|| journal::unreadable(&keys, value))?;
                at = entry.sequence;
                has_begun |= entry.field("allocated").is_some();
                if entry.field("over").is_some() {
                    return Ok(Some(found));
                }
                let reservations =
                    if entry.kind == "reserve" { entry.reservations() } else { Some(Vec::new()) };
                let reservations = reservations.ok_or_else(|| journal::unreadable(&keys, value))?;
                for r in reservations.into_iter().filter(|r| r.fingerprint == DRAWN) {
                    has_begun = true;
                    found.models.insert(secret.pseudonym(&r.buyer), r.model);
                }
                // What comes while it goes on is for those who wait.
                let totals = if has_begun { Vec::new() } else { entry.totals() };
                for (item, total) in totals {
                    let Some(model) = item.strip_prefix("model:") else { continue };
                    match total {
                        Total::Of(n) => drop(found.stock.insert(model.to_owned(), Some(n.unsigned_abs()))),
                        Total::Unlimited => drop(found.stock.insert(model.to_owned(), None)),
                        Total::Removed | Total::Damaged => drop(found.stock.remove(model)),
                    }
                }
            }
        }
    }
}
