//! Repeats a draw from its published file, without Redis.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use indexmap::IndexSet;

use crate::domain::draw::allocation::ModelsLeft;
use crate::domain::draw::merkle::{MerkleTree, leaf};
use crate::domain::draw::{Pseudonym, Ranking, Seed, commitment};
use crate::domain::hex;
use crate::domain::signup::choices_from_word;
use crate::draw::file::{Head, VERSION};
use crate::manage::file_error::{FileError, unopened};

/// What a file proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its first line.
    pub head: Head,
    /// How many entrants got a hold at once; `None`: the allocation was not over.
    pub holds: Option<u64>,
}

/// One entrant's line.
struct Line {
    pseudonym: Pseudonym,
    /// Its place among the different choices.
    choices: usize,
    rank: Option<u64>,
    model: Option<String>,
}

/// Verifies a file.
///
/// # Errors
///
/// [`FileError::File`] if it can't be read, or is no such file; [`FileError::Refused`] if something does not follow from the
/// rest, with the line.
pub fn verify(path: &Path) -> Result<Verified, FileError> {
    let mut lines = BufReader::new(File::open(path).map_err(unopened(path))?).lines();
    let mut next =
        || lines.next().transpose().map_err(|e| FileError::File(format!("{}: {e}", path.display())));
    let first = next()?.unwrap_or_default();
    let head: Head = serde_json::from_str(&first)
        .map_err(|e| FileError::File(format!("{}: not a published file of a draw: {e}", path.display())))?;
    if head.launchgate_draw != VERSION {
        let other = head.launchgate_draw;
        return Err(FileError::File(format!("the file has version {other}: a later gateway reads it")));
    }
    let (mut all, mut kinds, mut tree) = (Vec::new(), IndexSet::new(), MerkleTree::default());
    while let Some(text) = next()? {
        // The first line is the head.
        let number = all.len() + 2;
        let line = Line::read(&text, &mut kinds, &mut tree).ok_or_else(|| {
            no(number, "it is not `PSEUDONYM CHOICES RANK MODEL`: its entrant was changed, or added by hand")
        })?;
        let is_in_order = all.last().is_none_or(|before: &Line| before.pseudonym < line.pseudonym);
        if !is_in_order {
            return Err(no(
                number,
                "its pseudonym is not above the one before: an entrant appears twice, or was moved",
            ));
        }
        all.push(line);
    }
    check_entrants(&head, &tree)?;
    let Some(seed) = seed(&head)? else {
        check_unknown(&all, |line| line.rank.is_none() && line.model.is_none())?;
        return Ok(Verified { head, holds: None });
    };
    let order = check_ranks(&all, seed)?;
    let Some(stock) = head.stock.clone() else {
        check_unknown(&all, |line| line.model.is_none())?;
        return Ok(Verified { head, holds: None });
    };
    let left = ModelsLeft(stock.into_iter().collect());
    let holds = check_allocation(&all, &kinds, &order, left)?;
    Ok(Verified { holds: Some(holds), head })
}

/// No line says what can't follow from the first one yet.
fn check_unknown(all: &[Line], is_silent: impl Fn(&Line) -> bool) -> Result<(), FileError> {
    match all.iter().position(|line| !is_silent(line)) {
        Some(index) => {
            Err(no(index + 2, "it has a rank or a model, and the first line has not what they follow from"))
        }
        None => Ok(()),
    }
}

fn no(line: usize, what: &str) -> FileError {
    FileError::Refused(format!("line {line}: {what}"))
}

impl Line {
    fn read(text: &str, kinds: &mut IndexSet<String>, tree: &mut MerkleTree) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [pseudonym, choices, rank, model] = words[..] else { return None };
        choices_from_word(choices)?;
        let pseudonym = Pseudonym::from_hex(pseudonym)?;
        tree.add(leaf(&pseudonym, choices));
        let index = match kinds.get_index_of(choices) {
            Some(index) => index,
            None => kinds.insert_full(choices.to_owned()).0,
        };
        let rank = match rank {
            "-" => None,
            text => Some(text.parse().ok().filter(|rank: &u64| rank.to_string() == text)?),
        };
        Some(Self { pseudonym, choices: index, rank, model: (model != "-").then(|| model.to_owned()) })
    }
}

/// The root and the number of entrants.
fn check_entrants(head: &Head, tree: &MerkleTree) -> Result<(), FileError> {
    if tree.leaves() != head.entrants {
        let (found, said) = (tree.leaves(), head.entrants);
        return Err(FileError::Refused(format!("line 1: it says {said} entrants, and {found} follow")));
    }
    let root = hex::encode(&tree.root());
    if root != head.root {
        let said = &head.root;
        return Err(FileError::Refused(format!(
            "line 1: the entrants have the root {root}, and it says {said}: an entrant or a choice was changed, added or removed"
        )));
    }
    Ok(())
}

/// The seed, from reveal and beacon; `None`: nothing was drawn.
fn seed(head: &Head) -> Result<Option<Seed>, FileError> {
    let (reveal, beacon, said) = match (&head.reveal, &head.beacon, &head.seed) {
        (Some(reveal), Some(beacon), Some(said)) => (reveal, beacon, said),
        (None, None, None) if head.stock.is_none() => return Ok(None),
        _ => return Err(no(1, "it must have reveal, beacon and seed, or none of them and no stock")),
    };
    let bytes = |text: &str| hex::decode(text).ok_or_else(|| no(1, "reveal and beacon must be hexadecimal"));
    let (reveal, beacon) = (bytes(reveal)?, bytes(beacon)?);
    let found = hex::encode(&commitment(&reveal));
    if found != head.commitment {
        let said = &head.commitment;
        return Err(FileError::Refused(format!(
            "line 1: the reveal has the SHA-256 {found}, and the commitment is {said}"
        )));
    }
    let root = hex::decode_exactly(&head.root).ok_or_else(|| no(1, "the root must be a SHA-256"))?;
    let seed = Seed::new(&head.sale, &root, head.entrants, &reveal, &beacon);
    let found = hex::encode(&seed.0);
    if found != *said {
        return Err(FileError::Refused(format!("line 1: the seed is {found}, and it says {said}")));
    }
    Ok(Some(seed))
}

/// The indexes of all lines in order of rank.
fn check_ranks(all: &[Line], seed: Seed) -> Result<Vec<usize>, FileError> {
    let pseudonyms: Vec<_> = all.iter().map(|line| line.pseudonym).collect();
    let ranking = Ranking::new(seed, &pseudonyms);
    let mut order = vec![0; all.len()];
    for (index, line) in all.iter().enumerate() {
        let rank = ranking.rank(&line.pseudonym);
        if rank != line.rank {
            let text = |rank: Option<u64>| rank.map_or("none".to_owned(), |rank| rank.to_string());
            let (found, said) = (text(rank), text(line.rank));
            return Err(no(index + 2, &format!("its rank is {found}, and it says {said}")));
        }
        let place = rank.and_then(|rank| usize::try_from(rank - 1).ok());
        if let Some(place) = place.and_then(|place| order.get_mut(place)) {
            *place = index;
        }
    }
    Ok(order)
}

/// How many got a hold.
fn check_allocation(
    all: &[Line],
    kinds: &IndexSet<String>,
    order: &[usize],
    mut left: ModelsLeft,
) -> Result<u64, FileError> {
    let mut holds = 0;
    for index in order {
        let line = &all[*index];
        let models = kinds[line.choices].split(';').filter_map(|choice| choice.split('/').next());
        let given = left.take(models);
        if given != line.model.as_deref() {
            let (found, said) = (given.unwrap_or("none"), line.model.as_deref().unwrap_or("none"));
            let what = format!("in order of rank it is given {found}, and it says {said}");
            return Err(no(index + 2, &what));
        }
        holds += u64::from(given.is_some());
    }
    Ok(holds)
}
