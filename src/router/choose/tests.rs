use super::*;
use proptest::prelude::*;

const PLAIN: Choice = Choice {
    rank: 0,
    place: None,
    good: true,
    misses: false,
    expected: 1,
    list: 1,
    latency: None,
    throughput: None,
    busy: 0,
};

/// A chance that changes nothing: no exploring, and the first of those that are alike.
fn calm(below: u64) -> u64 {
    u64::from(below == EXPLORE_EVERY)
}

fn ranked(choices: &[Choice], wanted: &Wanted) -> Vec<usize> {
    super::ranked(choices, wanted, calm)
}

fn wanted(provider: &str) -> Wanted {
    Wanted::read(provider).expect(provider)
}

#[test]
fn who_cannot_be_expected_to_answer_comes_last_whatever_is_wanted() {
    let choices = [
        Choice {
            good: false,
            place: Some(0),
            ..PLAIN
        },
        Choice { rank: 1, ..PLAIN },
        Choice {
            expected: 9,
            ..PLAIN
        },
    ];
    assert_eq!(ranked(&choices, &Wanted::default()), [2, 1, 0]);
    assert_eq!(ranked(&choices, &wanted(r#"{"order":["a"]}"#)), [2, 1, 0]);
}

#[test]
fn the_callers_order_stands_before_the_price_and_the_price_before_the_configuration() {
    let choices = [
        Choice {
            expected: 3,
            list: 1,
            ..PLAIN
        },
        Choice {
            expected: 2,
            list: 2,
            ..PLAIN
        },
        Choice {
            expected: 9,
            list: 9,
            place: Some(0),
            ..PLAIN
        },
    ];
    assert_eq!(ranked(&choices, &Wanted::default()), [2, 1, 0]);
    assert_eq!(ranked(&choices, &wanted(r#"{"sort":"price"}"#)), [2, 0, 1]);
    let alone = wanted(r#"{"allow_fallbacks":false}"#);
    assert_eq!(ranked(&choices, &alone), [2]);
    let named = wanted(r#"{"allow_fallbacks":false,"order":["a"]}"#);
    assert_eq!(ranked(&choices, &named), [2, 1, 0]);
}

#[test]
fn models_are_ranked_in_the_callers_order_unless_all_are_one_pool() {
    let choices = [
        Choice {
            rank: 1,
            expected: 1,
            ..PLAIN
        },
        Choice {
            rank: 0,
            expected: 5,
            ..PLAIN
        },
    ];
    assert_eq!(ranked(&choices, &Wanted::default()), [1, 0]);
    let pool = wanted(r#"{"sort":{"partition":"none"}}"#);
    assert_eq!(ranked(&choices, &pool), [0, 1]);
}

#[test]
fn accounts_are_drawn_by_weight_and_the_good_ones_first() {
    let first = |accounts: &[(u64, bool)], at| drawn(accounts, |below| at % below);
    let even = [(1, true), (3, true)];
    assert_eq!(first(&even, 0), [0, 1]);
    for at in 1..4 {
        assert_eq!(first(&even, at), [1, 0], "{at}");
    }
    assert_eq!(first(&[(9, false), (1, true)], 0), [1, 0]);
    assert_eq!(first(&[(9, false), (1, false)], 9), [1, 0]);
    assert_eq!(first(&[], 0), [0usize; 0]);
}

#[test]
fn by_speed_the_fastest_is_asked_but_now_and_then_another_to_learn_of_it() {
    let choices = [
        Choice {
            latency: Some(2.0),
            throughput: Some(50.0),
            ..PLAIN
        },
        Choice { ..PLAIN },
        Choice {
            latency: Some(0.5),
            throughput: Some(10.0),
            ..PLAIN
        },
    ];
    let (latency, speed) = (
        wanted(r#"{"sort":"latency"}"#),
        wanted(r#"{"sort":"throughput"}"#),
    );
    assert_eq!(ranked(&choices, &latency), [2, 0, 1]);
    assert_eq!(ranked(&choices, &speed), [0, 2, 1]);
    let explores = super::ranked(&choices, &latency, |below| {
        if below == EXPLORE_EVERY { 0 } else { 2 }
    });
    assert_eq!(explores, [1, 2, 0]);
}

#[test]
fn of_two_that_are_as_good_the_less_busy_one_is_asked() {
    let choices = [
        Choice {
            latency: Some(1.0),
            busy: 9,
            ..PLAIN
        },
        Choice {
            latency: Some(1.1),
            busy: 1,
            ..PLAIN
        },
        Choice {
            latency: Some(3.0),
            busy: 0,
            ..PLAIN
        },
    ];
    let both = |first: u64| {
        let mut next = [1, first, 1 - first].into_iter();
        super::ranked(&choices, &wanted(r#"{"sort":"latency"}"#), move |_| {
            next.next().unwrap_or(0)
        })
    };
    assert_eq!(both(0), [1, 0, 2]);
    assert_eq!(both(1), [1, 0, 2]);
}

#[test]
fn what_misses_a_preference_comes_last_and_is_not_dropped() {
    let choices = [
        Choice {
            misses: true,
            ..PLAIN
        },
        Choice {
            expected: 5,
            ..PLAIN
        },
    ];
    assert_eq!(ranked(&choices, &Wanted::default()), [1, 0]);
    let of = |provider, latency: f64, speed: f64| {
        misses(
            &wanted(provider),
            |q| Some(latency * q),
            |q| Some(speed * q),
        )
    };
    assert!(of(r#"{"preferred_max_latency":1}"#, 2.1, 0.0));
    assert!(!of(r#"{"preferred_max_latency":1}"#, 1.9, 0.0));
    assert!(of(r#"{"preferred_min_throughput":{"p90":10}}"#, 0.0, 90.0));
    assert!(!of(
        r#"{"preferred_min_throughput":{"p90":10}}"#,
        0.0,
        110.0
    ));
    assert!(!misses(
        &wanted(r#"{"preferred_max_latency":1}"#),
        |_| None,
        |_| None
    ));
}

proptest! {
    #[test]
    fn every_endpoint_is_tried_once_whatever_the_chance(
        goods in prop::collection::vec((any::<bool>(), 0usize..3, 0u128..4), 0..8),
        numbers in prop::collection::vec(any::<u64>(), 8),
        sort in prop::sample::select(vec!["{}", r#"{"sort":"price"}"#, r#"{"sort":"latency"}"#]),
    ) {
        let choices: Vec<Choice> = goods
            .iter()
            .map(|(good, rank, expected)| Choice {
                good: *good,
                rank: *rank,
                expected: *expected,
                latency: Some(*expected as f64),
                ..PLAIN
            })
            .collect();
        let mut numbers = numbers.into_iter();
        let mut order = super::ranked(&choices, &wanted(sort), |below| numbers.next().unwrap_or(0) % below);
        let good = goods.iter().filter(|(good, ..)| *good).count();
        prop_assert!(order.iter().take(good).all(|at| choices[*at].good));
        order.sort_unstable();
        prop_assert_eq!(order, (0..choices.len()).collect::<Vec<_>>());
    }

    #[test]
    fn every_account_is_drawn_once(
        accounts in prop::collection::vec((0u64..5, any::<bool>()), 0..8),
        numbers in prop::collection::vec(any::<u64>(), 8),
    ) {
        let mut numbers = numbers.into_iter();
        let mut order = drawn(&accounts, |below| numbers.next().unwrap_or(0) % below);
        let good = accounts.iter().filter(|(_, good)| *good).count();
        prop_assert!(order.iter().take(good).all(|at| accounts[*at].1));
        order.sort_unstable();
        prop_assert_eq!(order, (0..accounts.len()).collect::<Vec<_>>());
    }
}
