//! Checks a draw: what follows from commitment, entrants, reveal and beacon, computed once more, and who got what.

use std::collections::{BTreeSet, HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::load::history::waiting::{ShownDraw, SignUpLook, Waiting};
use crate::plan::selection::Choice;
use crate::proof::ledger::{Change, Kind, WaitingLine, WaitingStep};
use crate::proof::reconcile::phases::READ_MODEL_MS;
use crate::proof::reconcile::waiting::sign_ups::SignUps;
use crate::proof::reconcile::{ReconcileInput, SaleDraw};
use crate::proof::rules::{Rule, Violation};

/// What all buyers were shown of the draw.
#[derive(Debug, Default)]
pub(crate) struct DrawAsShown {
    entrants: HashMap<String, EntrantAsShown>,
    draws: HashSet<ShownDraw>,
}

/// What one buyer was shown of it.
#[derive(Debug, Default)]
struct EntrantAsShown {
    pseudonyms: BTreeSet<String>,
    ranks: BTreeSet<u64>,
    /// When the latest look was sent, in ms, and the reservation that it showed.
    latest: Option<(i64, Option<String>)>,
}

impl DrawAsShown {
    pub(crate) fn note(&mut self, buyer: &str, waiting: &Waiting) {
        self.draws.extend(waiting.draws.iter().cloned());
        if waiting.shown_sign_ups().all(|shown| shown.pseudonym.is_none()) {
            return;
        }
        let entrant = self.entrants.entry(buyer.to_owned()).or_default();
        for shown in waiting.shown_sign_ups() {
            entrant.pseudonyms.extend(shown.pseudonym.clone());
            entrant.ranks.extend(shown.rank);
        }
        if let Some(SignUpLook { shown, exchanged: (asked, _) }) = waiting.looks.last() {
            entrant.latest = Some((asked.as_millisecond(), shown.reservation.clone()));
        }
    }
}

/// An entrant whose pseudonym is known.
struct Entrant<'a> {
    ticket: [u8; 8],
    pseudonym: [u8; 16],
    buyer: &'a str,
    choices: &'a [Choice],
    shown: &'a EntrantAsShown,
}

/// What the journal has of a draw.
#[derive(Clone, Copy, Debug)]
struct Drawn<'a> {
    root: &'a str,
    count: u64,
    reveal: &'a str,
    beacon: &'a str,
    seed: &'a str,
}

pub(crate) fn check(
    input: &ReconcileInput<'_>,
    draw: &SaleDraw<'_>,
    sign_ups: &SignUps<'_>,
    shown: &DrawAsShown,
    found: &mut Vec<Violation>,
) {
    let mut broken = |rule, what| found.push(Violation { rule, buyer: None, reservation: None, what });
    let mut broken_draw = |what| broken(Rule::DrawFollows, what);
    let entrants: Vec<_> = sign_ups.entrants().collect();
    let Some(drawn) = drawn(input.waiting, entrants.len() as u64, &mut broken_draw) else { return };
    let own_seed = match own_seed(draw, drawn) {
        Ok(own_seed) => own_seed,
        // All ranks would be others.
        Err(what) => return broken_draw(what),
    };
    if let Some(other) = shown.draws.iter().find(|shown| !drawn.is_shown_by(draw, shown)) {
        broken_draw(format!("{other:?} was shown, the ledger has {drawn:?}"));
    }
    let known = entrants.iter().filter_map(|(buyer, choices)| {
        let shown = shown.entrants.get(*buyer)?;
        let pseudonym: [u8; 16] = bytes(shown.pseudonyms.first()?)?.try_into().ok()?;
        let hash = Sha256::new().chain_update(own_seed).chain_update(pseudonym).finalize();
        Some(Entrant { ticket: *hash.first_chunk()?, pseudonym, buyer, choices, shown })
    });
    let mut known: Vec<Entrant<'_>> = known.collect();
    // Of entrants that are not this run's the pseudonyms are not known.
    let are_all = known.len() == entrants.len();
    if are_all {
        known.sort_unstable_by_key(|entrant| entrant.pseudonym);
        let own_root = hex(&merkle_root(&known));
        if own_root != drawn.root {
            broken_draw(format!("the root is {}, and that of the entrants is {own_root}", drawn.root));
        }
    }
    known.sort_unstable_by_key(|entrant| (entrant.ticket, entrant.pseudonym));
    check_ranks(&known, are_all, &mut broken_draw);
    check_holds(input, sign_ups, &mut |what| broken(Rule::AllocatedByRank, what));
    if !input.is_recovered() {
        check_allocation(input, draw, &known, &mut |what| broken(Rule::AllocatedByRank, what));
    }
    check_reservations(input, draw, &known, &mut |what| broken(Rule::SignUpAsAcknowledged, what));
}

impl Drawn<'_> {
    /// Whether this is what was shown, as far as it was there.
    fn is_shown_by(self, draw: &SaleDraw<'_>, shown: &ShownDraw) -> bool {
        let Drawn { root, count, reveal, beacon, seed } = self;
        let is = |shown: &Option<String>, own: &str| shown.as_ref().is_none_or(|shown| shown == own);
        shown.commitment == draw.commitment
            && is(&shown.root, root)
            && shown.entrants.is_none_or(|shown| shown == count)
            && is(&shown.reveal, reveal)
            && is(&shown.beacon, beacon)
            && is(&shown.seed, seed)
    }
}

/// What was drawn; `None` before that.
fn drawn<'a>(lines: &'a [WaitingLine], entrants: u64, broken: &mut impl FnMut(String)) -> Option<Drawn<'a>> {
    let (mut fixed, mut drawn) = (None, None);
    for WaitingLine { step, .. } in lines {
        match (step, fixed) {
            (WaitingStep::Entrants { root, count }, _) => {
                if *count != entrants {
                    broken(format!("{count} entrants were fixed, and {entrants} are signed up"));
                }
                fixed = Some((root.as_str(), *count));
            }
            (WaitingStep::Draw { .. }, _) if drawn.is_some() => broken("it was drawn twice".to_owned()),
            (WaitingStep::Draw { reveal, beacon, seed }, Some((root, count))) => {
                drawn = Some(Drawn { root, count, reveal, beacon, seed });
            }
            (WaitingStep::Draw { .. }, None) => broken("drawn before the entrants were fixed".to_owned()),
            _ => {}
        }
    }
    drawn
}

/// The seed that follows from what was committed to; `Err` says in words why it is not the one that was drawn with.
fn own_seed(draw: &SaleDraw<'_>, drawn: Drawn<'_>) -> Result<[u8; 32], String> {
    let Drawn { root, count, reveal, beacon, seed } = drawn;
    let [Some(root), Some(reveal), Some(beacon)] = [root, reveal, beacon].map(bytes) else {
        return Err("root, reveal and beacon must be hexadecimal".to_owned());
    };
    if hex(&Sha256::digest(&reveal)) != draw.commitment {
        return Err(format!("the reveal is not what was committed to with {}", draw.commitment));
    }
    let own_seed = seed_of(&[draw.sale.as_bytes(), &root, &count.to_be_bytes(), &reveal, &beacon]);
    let text = hex(&own_seed);
    if text != seed {
        return Err(format!("the seed is {seed}, and what it follows from gives {text}"));
    }
    Ok(own_seed)
}

/// Ranks are the places among all tickets, or at least in their order.
fn check_ranks(known: &[Entrant<'_>], are_all: bool, broken: &mut impl FnMut(String)) {
    let mut last = 0;
    for (place, Entrant { buyer, shown, .. }) in (1_u64..).zip(known) {
        if shown.pseudonyms.len() > 1 {
            broken(format!("{buyer} was shown the pseudonyms {:?}", shown.pseudonyms));
        }
        for rank in &shown.ranks {
            if if are_all { *rank != place } else { *rank <= last } {
                let all = known.len();
                broken(format!("{buyer} was shown the rank {rank}, and has place {place} among {all}"));
            }
        }
        last = shown.ranks.last().copied().unwrap_or(last);
    }
}

/// Each hold of the draw is an entrant's, one for each, and of what was signed up for.
fn check_holds(input: &ReconcileInput<'_>, sign_ups: &SignUps<'_>, broken: &mut impl FnMut(String)) {
    let entrants: HashMap<&str, &[Choice]> = sign_ups.entrants().collect();
    let mut served = HashSet::new();
    for change in input.changes.iter().filter(|change| change.kind == Kind::Draw) {
        let buyer = change.buyer();
        let choices = entrants.get(buyer).copied().unwrap_or_default();
        if !choices.iter().any(|choice| change.selected.is_of(choice)) {
            broken(format!("{buyer} got {:?}, and signed up for {choices:?}", change.selected));
        }
        if !served.insert(buyer) {
            broken(format!("{buyer} got two holds"));
        }
    }
}

/// A sign-up shows the reservation that the draw or a queue gave, and no other.
fn check_reservations(
    input: &ReconcileInput<'_>,
    draw: &SaleDraw<'_>,
    known: &[Entrant<'_>],
    broken: &mut impl FnMut(String),
) {
    let settled_ms =
        draw.allocated.map_or(i64::MAX, |line| line.at.as_millisecond() + READ_MODEL_MS + input.doubt_ms());
    let mut given: HashMap<&str, Vec<&Change>> = HashMap::new();
    for change in input.changes.iter().filter(|change| matches!(change.kind, Kind::Draw | Kind::Grant)) {
        given.entry(change.buyer()).or_default().push(change);
    }
    for Entrant { buyer, shown, .. } in known {
        let own = given.get(buyer).map_or(&[][..], Vec::as_slice);
        let Some((asked_ms, reservation)) = &shown.latest else { continue };
        let is_right = match reservation {
            Some(id) => own.iter().any(|change| change.reservation() == id),
            None => *asked_ms < settled_ms || own.iter().all(|change| change.kind != Kind::Draw),
        };
        if !is_right {
            let own: Vec<&str> = own.iter().map(|change| change.reservation()).collect();
            broken(format!("{buyer} was shown the reservation {reservation:?}, the ledger has {own:?}"));
        }
    }
}

/// Nobody of a worse rank got what an entrant wanted rather than what he got: of each model, the draw's last hold comes
/// before all of these.
fn check_allocation(
    input: &ReconcileInput<'_>,
    draw: &SaleDraw<'_>,
    known: &[Entrant<'_>],
    broken: &mut impl FnMut(String),
) {
    let Some(over) = draw.allocated else { return };
    let holds = input.changes.iter().filter(|change| change.kind == Kind::Draw);
    let holds: Vec<(&str, &str)> =
        holds.map(|change| (change.buyer(), change.selected.model.as_str())).collect();
    let joins = input.waiting.iter().filter(|line| line.sequence <= over.sequence);
    let joins = joins.filter_map(|line| match &line.step {
        WaitingStep::Join { buyer, .. } => Some(&**buyer),
        _ => None,
    });
    let joins: Vec<&str> = joins.collect();
    let place_of: HashMap<&str, usize> =
        known.iter().enumerate().map(|(place, entrant)| (entrant.buyer, place)).collect();
    let mut in_order = |name: &str, served: &mut dyn Iterator<Item = &str>| {
        let served: Vec<usize> = served.filter_map(|buyer| place_of.get(buyer).copied()).collect();
        if let Some(two) = served.windows(2).find(|two| two[0] >= two[1]) {
            let [first, second] = [two[0], two[1]].map(|place| known[place].buyer);
            broken(format!("{name}: {first} was served before {second}, who has a better rank"));
        }
    };
    in_order("holds", &mut holds.iter().map(|(buyer, _)| *buyer));
    in_order("places", &mut joins.iter().copied());

    let got: HashMap<&str, &str> = holds.into_iter().collect();
    let waits: HashSet<&str> = joins.into_iter().collect();
    // Later entrants overwrite earlier ones.
    let last_of = known.iter().enumerate();
    let last_of: HashMap<&str, usize> =
        last_of.filter_map(|(place, entrant)| Some((*got.get(entrant.buyer)?, place))).collect();
    let may_have_nothing =
        input.terms.standby_max.is_some() || !input.terms.standby || input.may_have_other_terms();
    for (place, Entrant { buyer, choices, .. }) in known.iter().enumerate() {
        let got = got.get(buyer).copied();
        let wanted = choices.iter().map(|choice| choice.model.as_str());
        for model in wanted.clone().take_while(|model| Some(*model) != got) {
            if let Some(later) = last_of.get(model).filter(|later| **later > place) {
                let other = known[*later].buyer;
                let what = got.unwrap_or("nothing");
                broken(format!(
                    "{buyer} got {what}, and {other}, of a worse rank, got {model}, wanted by both"
                ));
            }
        }
        if got.is_none() && !waits.contains(buyer) && !may_have_nothing {
            broken(format!("{buyer} has neither a hold nor a place in a queue"));
        }
    }
}

fn seed_of(parts: &[&[u8]]) -> [u8; 32] {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| {
        hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
    });
    hash.finalize().into()
}

/// The Merkle tree hash of RFC 9162, section 2.1.1, over entrants in the order of their pseudonyms.
fn merkle_root(entrants: &[Entrant<'_>]) -> [u8; 32] {
    match entrants {
        [] => Sha256::digest([]).into(),
        [one] => {
            let choices: Vec<String> = one.choices.iter().map(Choice::in_a_word).collect();
            let leaf =
                Sha256::new().chain_update([0]).chain_update(one.pseudonym).chain_update(choices.join(";"));
            leaf.finalize().into()
        }
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            let node = Sha256::new()
                .chain_update([1])
                .chain_update(merkle_root(left))
                .chain_update(merkle_root(right));
            node.finalize().into()
        }
    }
}

fn bytes(hex: impl AsRef<str>) -> Option<Vec<u8>> {
    let digits = hex.as_ref().as_bytes();
    let pair = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(pair).collect())?
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
