//! Unit tests of `draw.rs`: the order of a draw is fair, and follows from what is published alone.

use super::*;

fn secret() -> Secret {
    Secret::from_hex(&"5a".repeat(32)).unwrap()
}

fn pseudonyms(count: usize) -> Vec<Pseudonym> {
    (0..count).map(|n| secret().pseudonym(&format!("buyer-{n}"))).collect()
}

fn ranks(seed: &Seed, pseudonyms: &[Pseudonym]) -> Vec<u64> {
    let ranking = Ranking::new(*seed, pseudonyms);
    pseudonyms.iter().map(|p| ranking.rank(p).unwrap()).collect()
}

fn seed_of(n: u32) -> Seed {
    Seed::new("small", &[7; 32], 20, &n.to_be_bytes(), b"\x48\x29\x13")
}

/// Computed with Python's hmac and hashlib, by the words of `draw.md`.
#[test]
fn the_published_arithmetic_is_this_one() {
    let pseudonym = secret().pseudonym("alice");
    assert_eq!(pseudonym.to_string(), "218000274203537151d7a74bdd77a95a");
    assert_eq!(Pseudonym::from_hex(&pseudonym.to_string()), Some(pseudonym));
    let seed = Seed::new("small", &[7; 32], 20, b"a reveal of some bytes", b"\x48\x29\x13");
    assert_eq!(hex::encode(&seed.0), "09ca0634f7f8d9f21ae5dc0e4edb1b3226902f1390b458e037afbe21bb3c54a6");
    assert_eq!(seed.ticket(&pseudonym), 17_798_894_639_172_949_626);
    assert_eq!(
        hex::encode(&commitment(b"a reveal of some bytes")),
        "fba8d2ce2e61bbcf928c74938cc66db7edd4b8a84b9fb9f49b59761c726dde0e"
    );
}

/// χ² of the ranks of 20 entrants over 1,000 seeds: 361 degrees of freedom, since ranks are permutations. The bounds
/// are the quantiles of 0.001 and 0.999; the seeds are always the same.
#[test]
fn every_entrant_has_every_rank_equally_often() {
    let (entrants, seeds) = (pseudonyms(20), 1_000);
    let mut counts = vec![[0_u32; 20]; 20];
    for n in 0..seeds {
        for (counts, rank) in counts.iter_mut().zip(ranks(&seed_of(n), &entrants)) {
            counts[usize::try_from(rank).unwrap() - 1] += 1;
        }
    }
    let expected = f64::from(seeds) / 20.0;
    let parts = counts.iter().flatten().map(|count| (f64::from(*count) - expected).powi(2) / expected);
    // Each row and each column has a fixed sum: 19 of 20 are free in both.
    let chi2 = parts.sum::<f64>() * 19.0 / 20.0;
    assert!((280.0..450.0).contains(&chi2), "{chi2}");
}

/// The mean of Spearman's coefficients of 200 draws of 1,000 has a standard deviation of 1 / √(200 · 999) = 0.0022.
#[test]
fn ranks_do_not_follow_the_order_of_sign_up() {
    let entrants = pseudonyms(1_000);
    let (draws, n) = (200, 1_000.0_f64);
    let spearman = |seed: u32| {
        let ranks = ranks(&seed_of(seed), &entrants);
        let squares =
            (1_u32..).zip(ranks).map(|(order, rank)| (f64::from(order) - rank as f64).powi(2)).sum::<f64>();
        1.0 - 6.0 * squares / (n * (n * n - 1.0))
    };
    let mean = (0..draws).map(spearman).sum::<f64>() / f64::from(draws);
    assert!(mean.abs() < 3.5 * 0.0022, "{mean}");
}

#[test]
fn ranks_are_a_permutation_and_equal_tickets_go_by_pseudonym() {
    let entrants = pseudonyms(5);
    let mut sorted = entrants.clone();
    sorted.sort();
    let tickets = |p: &Pseudonym| if *p == sorted[4] { 1 } else { 9 };
    let ranking = Ranking::by_tickets(seed_of(0), &entrants, tickets);
    let by_rank: Vec<Option<u64>> = sorted.iter().map(|p| ranking.place(tickets(p), p)).collect();
    assert_eq!(by_rank, [2, 3, 4, 5, 1].map(Some));
    assert_eq!(ranking.len(), 5);
    let stranger = secret().pseudonym("a stranger");
    assert_eq!((ranking.place(5, &stranger), ranking.place(9, &stranger)), (None, None));
}

#[test]
fn every_part_of_the_seed_counts_and_none_runs_into_the_next() {
    let of =
        |sale: &str, count, reveal: &[u8], beacon: &[u8]| Seed::new(sale, &[7; 32], count, reveal, beacon).0;
    let seeds = [
        of("small", 20, b"ab", b"c"),
        of("small", 20, b"a", b"bc"),
        of("small", 21, b"ab", b"c"),
        of("smal", 20, b"ab", b"c"),
        of("small", 20, b"ab", b"d"),
        Seed::new("small", &[8; 32], 20, b"ab", b"c").0,
    ];
    let distinct: std::collections::HashSet<_> = seeds.iter().collect();
    assert_eq!(distinct.len(), seeds.len());
}
