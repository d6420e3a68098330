//! How proptest makes up histories, and shrinks them.

use gateway::domain::choice::Choice;
use gateway::manage::admin::OperatorAction;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{
    BUYERS, Edit, GATEWAYS, History, JoinRequest, KEYS, MODELS, Op, PACKAGES, Role, STORES, SignUpRequest,
    Tap, Troubles,
};
use crate::model::link::Fault;

/// All histories.
pub fn histories(ops: std::ops::Range<usize>, troubles: Troubles) -> impl Strategy<Value = History> {
    // Do not change the order: stored seeds depend on it.
    let any = match (troubles.sign_ups, troubles.standby) {
        _ if troubles.draws => {
            prop_oneof![3 => op().prop_map(at_once), 1 => sign_up(), 2 => standby(), 4 => draw()].boxed()
        }
        (true, _) => prop_oneof![3 => op(), 2 => sign_up()].boxed(),
        (false, true) if troubles.grants_go_on => {
            prop_oneof![1 => op().prop_map(at_once), 1 => standby()].prop_map(without_stops).boxed()
        }
        (false, true) => prop_oneof![1 => op().prop_map(at_once), 1 => standby()].boxed(),
        (false, false) => op().boxed(),
    };
    let op = match (troubles.crashes, troubles.faults, troubles.pairs) {
        (false, false, false) => any,
        (true, false, _) => prop_oneof![8 => any, 1 => crash()].boxed(),
        (false, true, _) => prop_oneof![5 => any.clone(), 1 => faulty(any)].boxed(),
        (true, true, _) => prop_oneof![8 => any.clone(), 1 => crash(), 2 => faulty(any)].boxed(),
        (false, false, true) => prop_oneof![2 => any, 1 => together()].boxed(),
    };
    let signup = match troubles {
        // Its commitment stands before.
        Troubles { draws: true, .. } => {
            select(vec![2_000, 5_000]).prop_map(|ms| Some((1, ms, false))).boxed()
        }
        Troubles { sign_ups: true, .. } => signup().boxed(),
        _ => Just(None).boxed(),
    };
    let queues = if troubles.standby { queues().boxed() } else { Just(None).boxed() };
    let opens_in = prop_oneof![6 => Just(0), 1 => Just(1_500), 1 => Just(3_600_000)];
    (1..3_u32, 0..4_u32, opens_in, configure_in(), vec(stock(), 6), vec(op, ops), (signup, queues)).prop_map(
        move |(per_buyer, more, opens_in, configure_in, mut stocks, ops, (signup, queues))| {
            if queues.is_some() {
                // Mostly sold out.
                stocks[0] = Some(stocks[0].unwrap_or(1) % 3);
                stocks[1] = stocks[1].map(|n| n % 2);
            }
            let (per_buyer, more) = if troubles.grants_go_on { (100, 0) } else { (per_buyer, more) };
            let (opens_in, queues, ops) = match signup {
                Some((opens, closes, _)) if troubles.draws => {
                    let queues = queues.or(Some((5_000, None)));
                    (closes + opens_in.min(1_500), queues, drawing(ops, opens, closes))
                }
                _ => (opens_in, queues, ops),
            };
            History {
                per_buyer,
                attempts: per_buyer + more,
                opens_in,
                configure_in,
                signup,
                queues,
                draws: troubles.draws,
                stocks,
                ops,
            }
        },
    )
}

fn stock() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![5 => (0..4_u64).prop_map(Some), 2 => Just(None)]
}

fn configure_in() -> impl Strategy<Value = Option<i64>> {
    option::of(select(vec![4_000, 20_000, 7_200_000]))
}

fn item() -> impl Strategy<Value = &'static str> {
    select(vec![
        "model:m1",
        "model:m2",
        "model:m3",
        "package:p1",
        "package:p2",
        "package:p3",
        "store:s1",
        "store:s2",
        "store:s3",
    ])
}

/// Mostly what exists and fits.
fn model() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(MODELS[0]), 4 => Just(MODELS[1]), 1 => Just(MODELS[2])]
}

fn packages() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        3 => subsequence(&PACKAGES[1..2], 0..=1),
        2 => subsequence(&PACKAGES[..2], 0..=2).prop_shuffle(),
        1 => subsequence(&PACKAGES[..], 0..=3),
    ]
}

fn store() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(STORES[0]), 6 => Just(STORES[1]), 1 => Just(STORES[2])]
}

fn tap() -> impl Strategy<Value = Tap> {
    let store = option::weighted(0.8, store());
    (select(&BUYERS[..]), select(&KEYS[..]), model(), packages(), store, any::<bool>()).prop_map(
        |(buyer, key, model, packages, store, partial)| Tap { buyer, key, model, packages, store, partial },
    )
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        5 => (item(), stock()).prop_map(|(item, stock)| Edit::Stock(item, stock)),
        2 => item().prop_map(Edit::Remove),
        1 => any::<u8>().prop_map(Edit::Rename),
        1 => (1..5_u32).prop_map(Edit::Attempts),
        1 => (0..7_u8).prop_map(Edit::Locked),
        3 => select(vec![4_000, 20_000, 7_200_000]).prop_map(Edit::ClosesIn),
        1 => configure_in().prop_map(Edit::ConfigureIn),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let at = || 0..GATEWAYS;
    let which = || 0..12_usize;
    let role = prop_oneof![5 => Just(Role::Owner), 4 => Just(Role::Service), 1 => Just(Role::Stranger)];
    let pass = prop_oneof![
        4 => 1..3_000_i64,
        1 => Just(3_600_000_i64),
        1 => Just(-3_600_000_i64),
        1 => -2_500..0_i64,
    ];
    let action = select(vec![
        OperatorAction::Pause,
        OperatorAction::Resume,
        OperatorAction::Resume,
        OperatorAction::Freeze,
        OperatorAction::Unfreeze,
        OperatorAction::Unfreeze,
    ]);
    let version_off = || prop_oneof![6 => Just(0_i64), 1 => -1..2_i64];
    prop_oneof![
        24 => (at(), vec(tap(), 1..6)).prop_map(|(at, taps)| Op::Reserve(at, taps)),
         6 => (at(), which()).prop_map(|(at, which)| Op::Again(at, which)),
        8 => (at(), which(), select(vec!["pay-1", "pay-2"]), version_off(), any::<bool>()).prop_map(
            |(at, which, payment, version_off, late)| Op::Confirm { at, which, payment, version_off, late }),
        6 => (at(), which(), role.clone()).prop_map(|(at, which, role)| Op::Cancel(at, which, role)),
        9 => (at(), which(), role, option::of(model()), option::of(packages()), option::of(store()), option::of(version_off()))
            .prop_map(|(at, which, role, model, packages, store, version_off)| Op::Amend {
                at, which, role, model, packages, store, version_off }),
        3 => (at(), select(&BUYERS[..])).prop_map(|(at, buyer)| Op::Read(at, buyer)),
        7 => pass.prop_map(Op::Pass),
        3 => Just(Op::Tick),
        6 => (1..5_u8).prop_map(Op::Run),
        6 => (at(), 1..6_usize).prop_map(|(at, entries)| Op::Sweep(at, entries)),
        6 => action.prop_map(Op::OperatorAction),
        1 => Just(Op::OperatorAction(OperatorAction::Close)),
        5 => (item(), 0..6_u64, prop_oneof![3 => Just(0_u64), 1 => Just(1)]).prop_map(
            |(item, total, was_off)| Op::Restock { item, total, was_off }),
        7 => vec(edit(), 0..3).prop_map(Op::Apply),
        3 => at().prop_map(Op::Refresh),
        2 => Just(Op::Audit),
    ]
}

fn crash() -> impl Strategy<Value = Op> {
    prop_oneof![1 => Just(0), 5 => 1..12_usize].prop_map(Op::Crash)
}

fn signup() -> impl Strategy<Value = Option<(i64, i64, bool)>> {
    let opens_in = prop_oneof![4 => Just(-1_000_i64), 1 => Just(1_500)];
    let closes_in = prop_oneof![3 => Just(7_200_000_i64), 1 => Just(6_000)];
    option::weighted(0.9, (opens_in, closes_in, any::<bool>()))
}

fn sign_up() -> impl Strategy<Value = Op> {
    let at = || 0..GATEWAYS;
    let choice = || {
        let ids = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let packages = subsequence(&PACKAGES[..2], 0..=2).prop_map(ids);
        (select(&MODELS[..2]), packages, option::of(select(&STORES[..2]))).prop_map(
            |(model, packages, store)| Choice {
                model: model.to_owned(),
                packages,
                store: store.map(str::to_owned),
            },
        )
    };
    let request = (select(&BUYERS[..]), vec(choice(), 1..3))
        .prop_map(|(buyer, choices)| SignUpRequest { buyer, choices });
    prop_oneof![
        6 => (at(), vec(request, 1..4)).prop_map(|(at, requests)| Op::SignUp(at, requests)),
        2 => (at(), select(&BUYERS[..])).prop_map(|(at, buyer)| Op::Withdraw(at, buyer)),
        2 => (at(), select(&BUYERS[..])).prop_map(|(at, buyer)| Op::ReadSignUp(at, buyer)),
    ]
}

fn queues() -> impl Strategy<Value = Option<(u64, Option<u64>)>> {
    let hold = select(vec![3_000, 5_000, 9_000]);
    option::weighted(0.95, (hold, option::weighted(0.2, 1..3_u64)))
}

/// One sweep ends all that is due: what comes back is then granted in one order.
fn at_once(op: Op) -> Op {
    if let Op::Sweep(at, _) = op { Op::Sweep(at, 64) } else { op }
}

fn without_stops(op: Op) -> Op {
    match op {
        Op::OperatorAction(action) if action.stops() => Op::Tick,
        Op::Apply(mut edits) => {
            edits.retain(|edit| !matches!(edit, Edit::ClosesIn(_) | Edit::Attempts(_)));
            Op::Apply(edits)
        }
        op => op,
    }
}

fn standby() -> impl Strategy<Value = Op> {
    let at = || 0..GATEWAYS;
    let packages = prop_oneof![2 => Just(Vec::new()), 1 => subsequence(&PACKAGES[..2], 0..=2)];
    let request = (select(&BUYERS[..]), model(), packages, option::of(store()))
        .prop_map(|(buyer, model, packages, store)| JoinRequest { buyer, model, packages, store });
    let action = select(vec![
        OperatorAction::SuspendStandby,
        OperatorAction::ResumeStandby,
        OperatorAction::ResumeStandby,
    ]);
    prop_oneof![
        9 => (at(), vec(request, 1..4)).prop_map(|(at, requests)| Op::Join(at, requests)),
        2 => (at(), select(&BUYERS[..])).prop_map(|(at, buyer)| Op::Leave(at, buyer)),
        3 => at().prop_map(Op::Grant),
        // Without them little comes back.
        4 => (at(), 0..4_usize).prop_map(|(at, which)| Op::Cancel(at, which, Role::Service)),
        2 => (select(vec!["model:m1", "model:m2"]), 0..4_u64).prop_map(|(item, total)| Op::Restock { item, total, was_off: 0 }),
        1 => action.prop_map(Op::OperatorAction),
    ]
}

/// Among these steps everybody signs up, sign-up ends and there is a draw.
fn drawing(mut ops: Vec<Op>, opens: i64, closes: i64) -> Vec<Op> {
    let choice = |model: &str, package: &str| Choice {
        model: model.to_owned(),
        packages: vec![package.to_owned()],
        store: Some(STORES[0].to_owned()),
    };
    let wants = [choice(MODELS[0], PACKAGES[0]), choice(MODELS[1], PACKAGES[1])];
    let request =
        |(n, buyer): (usize, &&'static str)| SignUpRequest { buyer, choices: wants[n % 2..].to_vec() };
    let requests = BUYERS.iter().enumerate().map(request).collect();
    let end = [Op::Pass(closes), Op::FollowDraw(0), Op::Draw(1), Op::Pass(2_000)];
    let rest = ops.split_off(ops.len() / 3);
    [vec![Op::Pass(opens), Op::SignUp(0, requests)], ops, end.to_vec(), rest].concat()
}

fn draw() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..GATEWAYS).prop_map(Op::FollowDraw),
        2 => prop_oneof![4 => Just(1_u8), 1 => Just(2)].prop_map(Op::Draw),
        2 => Just(Op::Run(1)),
    ]
}

fn faulty(any: BoxedStrategy<Op>) -> impl Strategy<Value = Op> {
    use Fault::{AnswerLate, AnswerLost, Doubled, RequestLost};
    let fault = select(vec![RequestLost, AnswerLost, AnswerLate, Doubled]);
    // Of the steps that call no script nothing is lost.
    (fault, proptest::bool::ANY, any).prop_map(|(fault, second, op)| Op::Faulty(fault, second, Box::new(op)))
}

fn together() -> impl Strategy<Value = Op> {
    let call = || {
        let is_call = |op: &Op| {
            use Op::{Again, Amend, Cancel, Confirm, Reserve};
            matches!(op, Reserve(..) | Again(..) | Confirm { .. } | Cancel(..) | Amend { .. })
        };
        op().prop_filter("a call", is_call)
    };
    (call(), call()).prop_map(|(one, other)| Op::Together(Box::new(one), Box::new(other)))
}
