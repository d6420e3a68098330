//! Tests planted violations of the rules about sign-ups and draws.

use super::*;

const ROOT: &str = "dcd4e177d681b7e0f385f88257fd3df024cdf809a6056c398cd0356dee326412";
const COMMITMENT: &str = "fba8d2ce2e61bbcf928c74938cc66db7edd4b8a84b9fb9f49b59761c726dde0e";
const REVEAL: &str = "612072657665616c206f6620736f6d65206279746573";
const SEED: &str = "32e9f3822e254d3bc2cf097a8b094c13fa310f7445730d5b3934b7af14ea7f80";

fn signs_up(sequence: u64, buyer: &str, number: u64) -> WaitingLine {
    let choices = Box::new([choice("a")]);
    line(sequence, WaitingStep::SignUp { buyer: buyer.into(), number, choices })
}

fn entrant(buyer: &str, number: u64, pseudonym: u8, rank: u64) -> TapHistory {
    let shown = ShownSignUp {
        number,
        choices: vec![choice("a")],
        pseudonym: Some(format!("{pseudonym:02x}").repeat(16)),
        rank: None,
        reservation: None,
    };
    let sign_up = SignUp {
        choices: Some(vec![choice("a")]),
        step: Step::Done,
        shown: Some(shown.clone()),
        is_new: true,
        exchanged: after(10 + number),
    };
    let reservation = (rank < 3).then(|| format!("d{number}"));
    let shown = ShownSignUp { rank: Some(rank), reservation, ..shown };
    let looks = vec![SignUpLook { shown, exchanged: after(30).unwrap() }];
    let [commitment, root, reveal, beacon, seed] =
        [COMMITMENT, ROOT, REVEAL, "482913", SEED].map(str::to_owned);
    let (root, reveal, beacon, seed) = (Some(root), Some(reveal), Some(beacon), Some(seed));
    let stage = "allocated".to_owned();
    let draws = vec![ShownDraw { stage, commitment, root, entrants: Some(3), reveal, beacon, seed }];
    history(buyer, Waiting { sign_ups: vec![sign_up], looks, draws, ..Waiting::default() })
}

/// Two of a for three entrants, computed with Python's hashlib by the words of `draw.md`: e2, e3 and e1 is the order. e4 has
/// withdrawn.
fn drawn() -> Case {
    let mut case = clean();
    case.terms.standby = true;
    case.changes = vec![
        change(5, Kind::Reserve, "old", "b6", 1),
        change(18, Kind::Draw, "d2", "e2", 2),
        change(19, Kind::Draw, "d3", "e3", 3),
    ];
    let [reveal, beacon, seed] = [REVEAL, "482913", SEED].map(str::to_owned);
    case.waiting = vec![
        signs_up(11, "e1", 1),
        signs_up(12, "e2", 2),
        signs_up(13, "e3", 3),
        signs_up(14, "e4", 4),
        line(15, WaitingStep::Withdraw { buyer: "e4".into() }),
        line(16, WaitingStep::Entrants { root: ROOT.to_owned(), count: 3 }),
        line(17, WaitingStep::Draw { reveal, beacon, seed }),
        joins(20, "e1", 1),
        line(20, WaitingStep::Allocated),
    ];
    case.draw = Some(COMMITMENT.to_owned());
    case.signup = Some(SignUpTerms { opens_at: at(10), closes_at: at(15) });
    let items = ["model:a", "package:p", "store:s"];
    case.totals_before = items.iter().map(|item| ((*item).to_owned(), Some(3))).collect();
    case.audit.items = items.iter().map(|item| audited(item, 3, 3, 0)).collect();
    case.history = vec![entrant("e1", 1, 0x30, 3), entrant("e2", 2, 0x10, 1), entrant("e3", 3, 0x20, 2)];
    let mut withdrawn = entrant("e4", 4, 0x40, 1);
    let waiting = withdrawn.waiting.as_mut().unwrap();
    waiting.looks.clear();
    let withdraw = SignUp { choices: None, shown: None, is_new: false, ..waiting.sign_ups[0].clone() };
    waiting.sign_ups.push(withdraw);
    case.history.push(withdrawn);
    case.support.clear();
    case
}

fn in_draw(plant: impl FnOnce(&mut Case)) -> Vec<Rule> {
    let mut case = drawn();
    plant(&mut case);
    case.broken()
}

#[test]
fn a_draw_that_follows_passes() {
    assert_eq!(drawn().broken(), []);
    // Of an entrant who is not of this run only the order of the others is known.
    assert_eq!(in_draw(|case| drop(case.history.remove(1))), []);
}

#[test]
fn a_draw_that_does_not_follow() {
    let drawn = |change: fn(&mut String, &mut String, &mut String)| {
        in_draw(|case| {
            if let WaitingStep::Draw { reveal, beacon, seed } = &mut case.waiting[6].step {
                change(reveal, beacon, seed);
            }
        })
    };
    assert_eq!(drawn(|reveal, _, _| *reveal = "00".to_owned()), [Rule::DrawFollows]);
    assert_eq!(drawn(|_, beacon, _| *beacon = "482914".to_owned()), [Rule::DrawFollows]);
    assert_eq!(drawn(|_, _, seed| *seed = "00".repeat(32)), [Rule::DrawFollows]);
    assert_eq!(drawn(|_, beacon, _| *beacon = "48291".to_owned()), [Rule::DrawFollows]);
    let fixed = |root: &str, count| {
        in_draw(|case| {
            case.waiting[5] = line(16, WaitingStep::Entrants { root: root.to_owned(), count });
        })
    };
    assert_eq!(fixed(&"00".repeat(32), 3), [Rule::DrawFollows]);
    assert_eq!(fixed(ROOT, 4), [Rule::DrawFollows]);
    assert_eq!(in_draw(|case| case.draw = Some("00".repeat(32))), [Rule::DrawFollows]);
    let shown = |change: fn(&mut ShownDraw)| in_draw(|case| change(&mut waiting(case, "e1").draws[0]));
    assert_eq!(shown(|draw| draw.seed = Some("00".repeat(32))), [Rule::DrawFollows]);
    assert_eq!(shown(|draw| draw.root = Some("00".repeat(32))), [Rule::DrawFollows]);
    assert_eq!(shown(|draw| draw.commitment = "00".repeat(32)), [Rule::DrawFollows]);
    assert_eq!(shown(|draw| draw.entrants = Some(4)), [Rule::DrawFollows]);
    assert_eq!(shown(|draw| (draw.root, draw.seed) = (None, None)), [], "before it was drawn");
    let seen = |change: fn(&mut ShownSignUp)| in_draw(|case| change(&mut waiting(case, "e2").looks[0].shown));
    assert_eq!(seen(|e2| e2.rank = Some(2)), [Rule::DrawFollows]);
    assert_eq!(seen(|e2| e2.pseudonym = Some("40".repeat(16))), [Rule::DrawFollows]);
    assert_eq!(seen(|e2| e2.reservation = Some("d3".to_owned())), [Rule::SignUpAsAcknowledged]);
    assert_eq!(seen(|e2| e2.reservation = None), [Rule::SignUpAsAcknowledged], "it is hidden");
    let again = in_draw(|case| {
        let again = WaitingLine { sequence: 18, ..case.waiting[6].clone() };
        case.waiting.insert(7, again);
    });
    assert_eq!(again, [Rule::DrawFollows]);
}

#[test]
fn an_allocation_against_the_ranks() {
    let swapped = in_draw(|case| {
        case.changes[1] = change(18, Kind::Draw, "d1", "e1", 2);
        case.waiting[7] = joins(20, "e2", 1);
        waiting(case, "e1").looks[0].shown.reservation = Some("d1".to_owned());
        waiting(case, "e2").looks[0].shown.reservation = None;
    });
    assert_eq!(swapped, [Rule::AllocatedByRank]);
    let other_hands = |case: &mut Case| {
        case.changes[1] = change(18, Kind::Draw, "d3", "e3", 2);
        case.changes[2] = change(19, Kind::Draw, "d2", "e2", 3);
    };
    assert_eq!(in_draw(other_hands), [Rule::AllocatedByRank]);
    let forgotten = |case: &mut Case| drop(case.waiting.remove(7));
    assert_eq!(in_draw(forgotten), [Rule::AllocatedByRank]);
    let full = in_draw(|case| {
        forgotten(case);
        case.terms.standby_max = Some(1);
    });
    assert_eq!(full, [], "a queue that is full");
    let stranger = in_draw(|case| case.changes.push(change(19, Kind::Draw, "d9", "e9", 4)));
    assert!(stranger.contains(&Rule::AllocatedByRank), "{stranger:?}");
    let more = in_draw(|case| case.changes[1].selected = selected("a", &["p", "q"], Some("s")));
    assert!(more.contains(&Rule::AllocatedByRank), "a package that was not asked for: {more:?}");
    let recovered = in_draw(|case| {
        other_hands(case);
        case.operator_actions.push(OperatorAction { kind: "adopt".to_owned(), ..define(3) });
    });
    assert_eq!(recovered, []);
}

#[test]
fn sign_ups_out_of_order_or_too_late() {
    assert_eq!(in_draw(|case| case.waiting[3] = signs_up(14, "e4", 5)).first(), Some(&Rule::SignUpsInOrder));
    let late = in_draw(|case| case.waiting.insert(6, line(16, WaitingStep::Withdraw { buyer: "e3".into() })));
    assert!(late.contains(&Rule::SignUpsInOrder) && late.contains(&Rule::DrawFollows), "{late:?}");
}

#[test]
fn sign_ups_that_are_shown_otherwise() {
    let shown = |change: fn(&mut Waiting)| in_draw(|case| change(waiting(case, "e1")));
    assert_eq!(shown(|e1| e1.looks[0].shown.number = 2), [Rule::SignUpAsAcknowledged]);
    assert_eq!(shown(|e1| e1.looks[0].shown.choices = vec![choice("b")]), [Rule::SignUpAsAcknowledged]);
    assert_eq!(shown(|e1| e1.sign_ups[0].choices = Some(vec![choice("b")])), [Rule::SignUpAsAcknowledged]);
    assert_eq!(shown(|e1| e1.sign_ups[0].is_new = false), [Rule::SignUpAsAcknowledged]);
    assert_eq!(
        shown(|e1| e1.sign_ups[0].step = Step::Refused("signup-closed".to_owned())),
        [Rule::SignUpAsAcknowledged]
    );
    let back = in_draw(|case| {
        waiting(case, "e4").sign_ups.pop();
    });
    assert_eq!(back, [Rule::SignUpAsAcknowledged], "a withdrawal that nobody asked for");
}
