//! Calls that nobody thought of: the two codes only have to agree.

use super::agree;
use super::allowances::Terms;
use super::bench::{Bench, ODD, Outcome, Step};
use super::owner::{Form, IPermit2, Order, PERMIT2, digest, sign};
use alloy::primitives::aliases::U160;
use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolCall;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const STORIES: u64 = 6;
const STEPS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn permit2_peer_agrees_on_random_calls() {
    let bench = Bench::start().await;
    let mut done = 0;
    for seed in 0..STORIES {
        let mut random = StdRng::seed_from_u64(seed);
        let steps: Vec<Step> = (0..STEPS).map(|_| step(&bench, &mut random)).collect();
        let seen = agree(&bench, &format!("seed {seed}"), &steps).await;
        done += seen
            .iter()
            .filter(|seen| seen.outcome == Outcome::Done)
            .count();
    }
    // Most random calls are refused; it would be of little use if nearly all were.
    let all = STEPS * usize::try_from(STORIES).expect("few");
    assert!(
        done * 5 > all && done * 5 < 4 * all,
        "{done} of {all} went through"
    );
}

/// One of a few values.
fn any<T: Clone>(random: &mut StdRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())].clone()
}

fn step(bench: &Bench, random: &mut StdRng) -> Step {
    let owner = bench.owner.address();
    let token = random.random_range(0..2);
    let amount = any(
        random,
        &[U160::ZERO, U160::from(3), U160::from(900_000), U160::MAX],
    );
    let expiration = bench.start + any(random, &[0, 20, 1_000]);
    let small = any(random, &[0_u64, 1, 3, 60]);
    let nonce = any(random, &[0_u64, 1, 2, 3]);
    let (name, from, data): (_, _, Bytes) = match random.random_range(0..14) {
        0..=5 => (
            "a transfer by signature",
            bench.spender,
            order(bench, random),
        ),
        6..=7 => {
            let terms = Terms {
                amount,
                expiration,
                nonce,
            };
            (
                "an allowance by signature",
                bench.spender,
                allowance(bench, random, terms),
            )
        }
        8 => (
            "an approval",
            owner,
            bench.approving(token, amount, expiration),
        ),
        9..=10 => {
            let by = any(
                random,
                &[bench.spender, bench.spender, bench.stranger.address()],
            );
            ("a transfer", by, bench.taking(token, small))
        }
        11 => ("a lockdown", owner, bench.locking(&bench.tokens[..token])),
        12 => ("skipped nonces", owner, bench.skipping(token, nonce)),
        _ => {
            let words = (U256::ZERO, U256::from(1_u64 << random.random_range(0..12)));
            let call = IPermit2::invalidateUnorderedNoncesCall::from(words);
            (
                "withdrawn nonces",
                any(random, &[owner, bench.wallet]),
                call.abi_encode().into(),
            )
        }
    };
    Step {
        name: name.to_owned(),
        from,
        to: PERMIT2,
        data,
        wait: any(random, &[0, 0, 0, 5]),
        expected: None,
    }
}

fn order(bench: &Bench, random: &mut StdRng) -> Bytes {
    let amount = |random: &mut StdRng| U256::from(any(random, &[0_u64, 1, 50, 50, 2_000_000]));
    let batch = random.random_range(0..3) == 0;
    let count = if batch { random.random_range(0..4) } else { 1 };
    let [first, second] = bench.tokens;
    let odd = ODD[0].0;
    let permitted = (0..count)
        .map(|_| (any(random, &[first, first, second, odd]), amount(random)))
        .collect();
    let order = Order {
        permitted,
        batch,
        witness: any(random, &[None, Some(1)]),
        spender: any(
            random,
            &[bench.spender, bench.spender, bench.spender, bench.payee],
        ),
        nonce: U256::from(random.random_range(0..12_u64)),
        deadline: bench.start + any(random, &[10, 1_000, 1_000, 1_000]),
    };
    let wanted: Vec<_> = (0..any(random, &[count, count, count, 1]))
        .map(|_| {
            (
                any(random, &[bench.payee, bench.stranger.address()]),
                U256::from(any(random, &[0_u64, 1, 1, 51])),
            )
        })
        .collect();
    let account = any(
        random,
        &[bench.owner.address(), bench.owner.address(), bench.wallet],
    );
    order.call(&wanted, account, signature(bench, random, order.digest()))
}

fn allowance(bench: &Bench, random: &mut StdRng, terms: Terms) -> Bytes {
    let owner = any(random, &[bench.owner.address(), bench.wallet]);
    let deadline = U256::from(bench.start + any(random, &[10, 1_000]));
    let spender = bench.spender;
    if random.random() {
        let details = bench.details(random.random_range(0..2), terms);
        let permit = IPermit2::PermitSingle {
            details,
            spender,
            sigDeadline: deadline,
        };
        let signature = signature(bench, random, digest(&permit)).into();
        return IPermit2::permit_0Call::from((owner, permit, signature))
            .abi_encode()
            .into();
    }
    let details = (0..random.random_range(0..3))
        .map(|token| bench.details(token, terms))
        .collect();
    let permit = IPermit2::PermitBatch {
        details,
        spender,
        sigDeadline: deadline,
    };
    let signature = signature(bench, random, digest(&permit)).into();
    IPermit2::permit_1Call::from((owner, permit, signature))
        .abi_encode()
        .into()
}

fn signature(bench: &Bench, random: &mut StdRng, digest: alloy::primitives::B256) -> Vec<u8> {
    let key = if random.random_range(0..8) == 0 {
        &bench.stranger
    } else {
        &bench.owner
    };
    let form = any(
        random,
        &[
            Form::Whole,
            Form::Whole,
            Form::Whole,
            Form::Compact,
            Form::HighS,
            Form::StrangeV,
            Form::Long,
        ],
    );
    sign(key, digest, form)
}
