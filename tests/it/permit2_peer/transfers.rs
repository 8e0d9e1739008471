//! Transfers by signature: one token, with a witness, many tokens.

use super::agree;
use super::bench::{Bench, Outcome, reverts};
use super::owner::{Form, IPermit2, Order, sign};
use alloy::primitives::{Bytes, U256};

#[tokio::test(flavor = "multi_thread")]
async fn permit2_peer_transfers_by_signature() {
    let bench = Bench::start().await;
    let no_nonce = reverts(&IPermit2::InvalidNonce {});
    let no_signer = reverts(&IPermit2::InvalidSigner {});

    let order = bench.order(7);
    let other_amount = Order {
        permitted: vec![(bench.tokens[0], U256::from(5))],
        ..order.clone()
    };
    let story = [
        bench.spend("more than permitted", &order, &[1_001], {
            let most = U256::from(1_000);
            reverts(&IPermit2::InvalidAmount { maxAmount: most })
        }),
        bench.spend("a part", &order, &[400], Outcome::Done),
        bench.spend("replayed", &order, &[400], no_nonce.clone()),
        bench.spend(
            "its nonce for something else",
            &other_amount,
            &[5],
            no_nonce.clone(),
        ),
        bench.spend("nothing at all", &bench.order(8), &[0], Outcome::Done),
        bench.spend(
            "its nonce is spent even so",
            &bench.order(8),
            &[1],
            no_nonce.clone(),
        ),
        bench.spend(
            "the last nonce of a word",
            &bench.order(255),
            &[1],
            Outcome::Done,
        ),
        bench.spend(
            "the first of the next word",
            &bench.order(256),
            &[1],
            Outcome::Done,
        ),
        bench.spend(
            "the last nonce",
            &Order {
                nonce: U256::MAX,
                ..order.clone()
            },
            &[1],
            Outcome::Done,
        ),
    ];
    agree(&bench, "nonces and amounts", &story).await;

    let order = bench.order(7);
    let ends = Order {
        deadline: bench.start + 2,
        ..order.clone()
    };
    let late = reverts(&IPermit2::SignatureExpired {
        signatureDeadline: U256::from(ends.deadline),
    });
    let story = [
        bench.spend("a second early", &ends, &[1], Outcome::Done),
        bench.spend(
            "at the deadline",
            &Order {
                nonce: U256::from(9),
                ..ends.clone()
            },
            &[1],
            Outcome::Done,
        ),
        bench.spend("a second late, and replayed", &ends, &[2_000], late),
        bench.spend(
            "long before the deadline",
            &Order {
                nonce: U256::from(10),
                ..order.clone()
            },
            &[1],
            Outcome::Done,
        ),
    ];
    agree(&bench, "deadlines", &story).await;

    let theirs = sign(&bench.stranger, order.digest(), Form::Whole);
    let for_another = Order {
        spender: bench.payee,
        ..order.clone()
    };
    let data = order.call(&bench.wanted(&[1]), bench.owner.address(), theirs);
    let mut story = vec![
        bench.step("another key", bench.spender, data, no_signer.clone()),
        bench.spend("another spender", &for_another, &[1], no_signer.clone()),
        bench.spend_in(
            "one byte more",
            &order,
            &[1],
            Form::Long,
            reverts(&IPermit2::InvalidSignatureLength {}),
        ),
        bench.spend_in(
            "bytes missing",
            &order,
            &[1],
            Form::Short,
            reverts(&IPermit2::InvalidSignatureLength {}),
        ),
        bench.spend_in(
            "no bytes",
            &order,
            &[1],
            Form::Empty,
            reverts(&IPermit2::InvalidSignatureLength {}),
        ),
        bench.spend_in(
            "a strange v",
            &order,
            &[1],
            Form::StrangeV,
            reverts(&IPermit2::InvalidSignature {}),
        ),
    ];
    let digest = order.digest();
    let own = order.call(
        &bench.wanted(&[1]),
        bench.owner.address(),
        sign(&bench.owner, digest, Form::Whole),
    );
    story.push(bench.step(
        "sent by another",
        bench.stranger.address(),
        own.clone(),
        no_signer,
    ));
    // Cut anywhere, a call is refused without a word.
    for keep in [3, 4, 36, 200, own.len() - 70] {
        let cut = own.slice(..keep);
        story.push(bench.step(
            "a call cut short",
            bench.spender,
            cut,
            Outcome::Reverts(Bytes::new()),
        ));
    }
    let mut dirty = own.to_vec();
    dirty[4] = 1;
    story.push(bench.step(
        "a token of more than 20 bytes",
        bench.spender,
        dirty.into(),
        Outcome::Reverts(Bytes::new()),
    ));
    story.extend([
        bench.spend_in(
            "the compact form",
            &bench.order(1),
            &[1],
            Form::Compact,
            Outcome::Done,
        ),
        bench.spend_in(
            "the greater s",
            &bench.order(2),
            &[1],
            Form::HighS,
            Outcome::Done,
        ),
        bench.spend("the lesser s of the same", &bench.order(2), &[1], no_nonce),
    ]);
    agree(&bench, "signatures", &story).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permit2_peer_witnesses_and_batches() {
    let bench = Bench::start().await;
    let no_signer = reverts(&IPermit2::InvalidSigner {});
    let with_witness = |order: Order| Order {
        witness: Some(42),
        ..order
    };

    let order = with_witness(bench.order(1));
    let signature = sign(&bench.owner, order.digest(), Form::Whole);
    let other = Order {
        witness: Some(43),
        ..order.clone()
    };
    let bent = other.call(
        &bench.wanted(&[1]),
        bench.owner.address(),
        signature.clone(),
    );
    let bare = Order {
        witness: None,
        ..order.clone()
    };
    let bare = bare.call(&bench.wanted(&[1]), bench.owner.address(), signature);
    let story = [
        bench.step("another witness", bench.spender, bent, no_signer.clone()),
        bench.step(
            "the witness left out",
            bench.spender,
            bare,
            no_signer.clone(),
        ),
        bench.spend("the witness as signed", &order, &[1_000], Outcome::Done),
        bench.spend_of(
            "a wallet's",
            bench.wallet,
            &with_witness(bench.order(2)),
            Outcome::Done,
        ),
    ];
    agree(&bench, "witnesses", &story).await;

    for witness in [None, Some(42)] {
        let batch = |nonce| Order {
            witness,
            ..bench.batch(nonce)
        };
        let none = Order {
            permitted: vec![],
            ..batch(4)
        };
        let most = U256::from(2_000);
        let story = [
            bench.spend(
                "too few",
                &batch(1),
                &[1],
                reverts(&IPermit2::LengthMismatch {}),
            ),
            bench.spend(
                "too many",
                &batch(1),
                &[1, 1, 1],
                reverts(&IPermit2::LengthMismatch {}),
            ),
            bench.spend(
                "too much of the second",
                &batch(1),
                &[1_000, 2_001],
                reverts(&IPermit2::InvalidAmount { maxAmount: most }),
            ),
            bench.spend("all", &batch(1), &[1_000, 2_000], Outcome::Done),
            bench.spend(
                "replayed",
                &batch(1),
                &[1, 1],
                reverts(&IPermit2::InvalidNonce {}),
            ),
            bench.spend("nothing of the first", &batch(2), &[0, 2], Outcome::Done),
            bench.spend("more than there is", &batch(3), &[0, 2_000], Outcome::Done),
            bench.spend("of no token", &none, &[], Outcome::Done),
            bench.spend_in(
                "the compact form",
                &batch(5),
                &[1, 1],
                Form::Compact,
                Outcome::Done,
            ),
        ];
        agree(&bench, "batches", &story).await;
        let late = Order {
            deadline: bench.start,
            ..batch(1)
        };
        let expired = reverts(&IPermit2::SignatureExpired {
            signatureDeadline: U256::from(bench.start),
        });
        agree(
            &bench,
            "a late batch",
            &[bench.spend("late and too few", &late, &[1], expired)],
        )
        .await;
    }
}
