//! Permit2's other half: allowances, by call and by signature.

use super::agree;
use super::bench::{Bench, Outcome, Step, reverts, says};
use super::owner::{Form, IPermit2, digest, sign};
use alloy::primitives::aliases::{U48, U160};
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;

/// Words of an allowance that is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) amount: U160,
    pub(super) expiration: u64,
    pub(super) nonce: u64,
}

impl Bench {
    pub(super) fn details(&self, token: usize, terms: Terms) -> IPermit2::PermitDetails {
        IPermit2::PermitDetails {
            token: self.tokens[token],
            amount: terms.amount,
            expiration: U48::from(terms.expiration),
            nonce: U48::from(terms.nonce),
        }
    }

    fn allow(&self, name: &str, terms: Terms, expected: Outcome) -> Step {
        let permit = IPermit2::PermitSingle {
            details: self.details(0, terms),
            spender: self.spender,
            sigDeadline: U256::from(self.start + 500),
        };
        let signature = sign(&self.owner, digest(&permit), Form::Whole).into();
        let call = IPermit2::permit_0Call::from((self.owner.address(), permit, signature));
        self.step(
            name,
            self.stranger.address(),
            call.abi_encode().into(),
            expected,
        )
    }

    pub(super) fn taking(&self, token: usize, amount: u64) -> Bytes {
        let (from, to) = (self.owner.address(), self.payee);
        let call =
            IPermit2::transferFrom_0Call::from((from, to, U160::from(amount), self.tokens[token]));
        call.abi_encode().into()
    }

    fn take_of(&self, name: &str, amount: u64, expected: Outcome) -> Step {
        self.step(name, self.spender, self.taking(0, amount), expected)
    }

    pub(super) fn approving(&self, token: usize, amount: U160, expiration: u64) -> Bytes {
        let words = (
            self.tokens[token],
            self.spender,
            amount,
            U48::from(expiration),
        );
        IPermit2::approveCall::from(words).abi_encode().into()
    }

    fn approves(&self, name: &str, amount: U160, expiration: u64) -> Step {
        let data = self.approving(0, amount, expiration);
        self.step(name, self.owner.address(), data, Outcome::Done)
    }

    pub(super) fn skipping(&self, token: usize, nonce: u64) -> Bytes {
        let words = (self.tokens[token], self.spender, U48::from(nonce));
        IPermit2::invalidateNoncesCall::from(words)
            .abi_encode()
            .into()
    }

    fn skips(&self, name: &str, nonce: u64, expected: Outcome) -> Step {
        self.step(
            name,
            self.owner.address(),
            self.skipping(0, nonce),
            expected,
        )
    }

    pub(super) fn locking(&self, tokens: &[Address]) -> Bytes {
        let spender = self.spender;
        let pair = |&token: &Address| IPermit2::TokenSpenderPair { token, spender };
        let approvals = tokens.iter().map(pair).collect();
        IPermit2::lockdownCall { approvals }.abi_encode().into()
    }
}

fn short_by(left: u64) -> Outcome {
    let amount = U256::from(left);
    reverts(&IPermit2::InsufficientAllowance { amount })
}

fn expired(at: u64) -> Outcome {
    let deadline = U256::from(at);
    reverts(&IPermit2::AllowanceExpired { deadline })
}

#[tokio::test(flavor = "multi_thread")]
async fn permit2_peer_allowances_by_call() {
    let bench = Bench::start().await;
    let end = bench.start + 100;
    let story = [
        bench.take_of("before any approval", 1, expired(0)),
        bench.approves("an approval", U160::from(50), end),
        bench.take_of("a part", 20, Outcome::Done),
        bench.take_of("more than is left", 31, short_by(30)),
        bench.take_of("nothing", 0, Outcome::Done),
        bench.take_of("the rest", 30, Outcome::Done),
        bench.approves("more than there is", U160::from(2_000_000), end),
        bench.take_of(
            "what the token refuses",
            1_500_000,
            says("TRANSFER_FROM_FAILED"),
        ),
        bench.approves("without end or limit", U160::MAX, 0),
        bench.take_of("one block later", 1, expired(bench.start + 9)),
        bench.approves("for ever, without limit", U160::MAX, (1 << 48) - 1),
        bench.take_of("it does not shrink", 7, Outcome::Done),
        bench.step(
            "locked down",
            bench.owner.address(),
            bench.locking(&bench.tokens),
            Outcome::Done,
        ),
        bench.take_of("after that", 1, short_by(0)),
        bench.approves("until then", U160::from(5), end),
        bench
            .take_of("in the last second", 1, Outcome::Done)
            .after(end - bench.start - 16),
        bench.take_of("a second later", 1, expired(end)),
        bench.step(
            "locking nothing",
            bench.owner.address(),
            bench.locking(&[]),
            Outcome::Done,
        ),
    ];
    agree(&bench, "allowances", &story).await;

    let list = |amounts: [u64; 2]| {
        let one = |(token, amount): (Address, u64)| IPermit2::AllowanceTransferDetails {
            from: bench.owner.address(),
            to: bench.payee,
            amount: U160::from(amount),
            token,
        };
        let all = bench.tokens.into_iter().zip(amounts).map(one).collect();
        Bytes::from(
            IPermit2::transferFrom_1Call {
                transferDetails: all,
            }
            .abi_encode(),
        )
    };
    let other = bench.approving(1, U160::from(9), end);
    let none = IPermit2::transferFrom_1Call {
        transferDetails: vec![],
    }
    .abi_encode();
    let story = [
        bench.approves("the first", U160::from(5), end),
        bench.step("the second", bench.owner.address(), other, Outcome::Done),
        bench.step(
            "too much of the second",
            bench.spender,
            list([5, 10]),
            short_by(9),
        ),
        bench.step("both", bench.spender, list([5, 9]), Outcome::Done),
        bench.step("none", bench.spender, none.into(), Outcome::Done),
    ];
    agree(&bench, "many at once", &story).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permit2_peer_allowances_by_signature() {
    let bench = Bench::start().await;
    let terms = |nonce| Terms {
        amount: U160::from(50),
        expiration: bench.start + 100,
        nonce,
    };
    let no_nonce = reverts(&IPermit2::InvalidNonce {});
    let excessive = reverts(&IPermit2::ExcessiveInvalidation {});
    let story = [
        bench.allow("not the next nonce", terms(1), no_nonce.clone()),
        bench.allow("the next nonce", terms(0), Outcome::Done),
        bench.allow("replayed", terms(0), no_nonce.clone()),
        bench.take_of("taken", 50, Outcome::Done),
        bench.allow(
            "within this block",
            Terms {
                expiration: 0,
                ..terms(1)
            },
            Outcome::Done,
        ),
        bench.take_of("a block later", 1, expired(bench.start + 5)),
        bench.skips("not forward", 2, no_nonce.clone()),
        bench.skips("too far", 2 + 65_536, excessive),
        bench.skips("as far as can be", 2 + 65_535, Outcome::Done),
        bench.allow("one that was skipped", terms(2), no_nonce),
        bench.allow("the one after", terms(2 + 65_535), Outcome::Done),
        bench
            .allow("late", terms(2 + 65_536), {
                let deadline = U256::from(bench.start + 500);
                reverts(&IPermit2::SignatureExpired {
                    signatureDeadline: deadline,
                })
            })
            .after(500),
    ];
    agree(&bench, "signed allowances", &story).await;

    let batch = |details: Vec<IPermit2::PermitDetails>, form, expected, name: &str| {
        let permit = IPermit2::PermitBatch {
            details,
            spender: bench.spender,
            sigDeadline: U256::from(bench.start + 500),
        };
        let signature = sign(&bench.owner, digest(&permit), form).into();
        let call = IPermit2::permit_1Call::from((bench.owner.address(), permit, signature));
        bench.step(name, bench.spender, call.abi_encode().into(), expected)
    };
    let both = |nonce| vec![bench.details(0, terms(0)), bench.details(1, terms(nonce))];
    let dirty = {
        let mut call = bench.allow("", terms(1), Outcome::Done).data.to_vec();
        call[4 + 32 + 32 + 5] = 1;
        bench.step(
            "an amount of more than 160 bits",
            bench.spender,
            call.into(),
            Outcome::Reverts(Bytes::new()),
        )
    };
    let story = [
        batch(
            both(1),
            Form::Whole,
            reverts(&IPermit2::InvalidNonce {}),
            "the second's nonce is wrong",
        ),
        batch(
            both(0),
            Form::StrangeV,
            reverts(&IPermit2::InvalidSignature {}),
            "signed by nobody",
        ),
        batch(
            both(0),
            Form::Long,
            reverts(&IPermit2::InvalidSignatureLength {}),
            "one byte more",
        ),
        batch(both(0), Form::HighS, Outcome::Done, "both"),
        batch(vec![], Form::Compact, Outcome::Done, "none"),
        dirty,
        bench.take_of("taken", 50, Outcome::Done),
    ];
    agree(&bench, "a batch of signed allowances", &story).await;
}
