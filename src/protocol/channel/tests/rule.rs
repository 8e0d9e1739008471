//! The rule of acceptance, against clients as published: whatever happens to calls and to the
//! answers' headers, every charge stays covered, and a client that lost its way finds it again.

use super::*;
use proptest::prelude::*;

/// The published client's books, by its own rule: the base moves only when the cumulative charge
/// is base + charge, and a deposit counts only then.
#[derive(Debug, Clone, Copy, Default)]
struct Client {
    base: u128,
    balance: u128,
}

impl Client {
    fn hears(&mut self, answer: ReportedCharge, call: &Call) {
        let charged = answer.charged_amount.atomic();
        assert!(charged <= call.amount, "the client would fail the call");
        let next = self.base + charged;
        if answer.cumulative.atomic() == next {
            self.base = next;
            self.balance += call.deposit;
        }
    }
}

/// A call that was taken and has not ended.
#[derive(Debug, Clone, Copy)]
struct Call {
    base: u128,
    amount: u128,
    deposit: u128,
    cost_max: u128,
    streamed: bool,
}

/// What the ledger does with an account.
#[derive(Debug, Default)]
struct Books {
    account: Account,
    calls: Vec<Call>,
}

impl Books {
    fn balanced(&self) {
        let a = self.account;
        let signed = a.signed_max.unwrap_or_default();
        assert!(a.total_claimed <= a.charged, "{a:?}");
        assert!(a.charged.plus(a.reserved).unwrap() <= signed, "{a:?}");
        assert!(signed <= a.balance, "{a:?}");
    }

    /// The client's next call: it brings a deposit when its own books lack one.
    fn start(
        &mut self,
        client: Client,
        quote: Quote,
        streamed: bool,
        rule: Rule,
    ) -> Result<(), Unfit> {
        let max_claimable = client.base + quote.amount;
        let deposit = if max_claimable > client.balance {
            (max_claimable - client.balance).max(5 * quote.amount)
        } else {
            0
        };
        let account = Account {
            balance: units(self.account.balance.atomic() + deposit),
            ..self.account
        };
        let amount = units(quote.amount);
        let accepted = accept(
            &account,
            units(max_claimable),
            amount,
            units(quote.cost_max),
            rule,
        )?;
        assert_eq!(accepted.base.atomic(), client.base);
        self.account = Account {
            signed_max: account.signed_max.max(Some(units(max_claimable))),
            reserved: units(account.reserved.atomic() + quote.cost_max),
            running: account.running + 1,
            ..account
        };
        self.calls.push(Call {
            base: client.base,
            amount: quote.amount,
            deposit,
            cost_max: quote.cost_max,
            streamed,
        });
        self.balanced();
        Ok(())
    }

    /// Ends a call; gives what its headers said, which for a stream left before it was charged.
    fn end(&mut self, which: usize, cost: u128) -> (Call, ReportedCharge) {
        let call = self.calls.remove(which);
        let said =
            |books: &Self| report(units(call.base), units(call.amount), books.account.charged);
        let early = said(self);
        let a = &mut self.account;
        a.reserved = units(a.reserved.atomic() - call.cost_max);
        a.running -= 1;
        a.charged = units(a.charged.atomic() + cost);
        self.balanced();
        (call, if call.streamed { early } else { said(self) })
    }

    fn claim(&mut self) {
        self.account.total_claimed = self.account.charged;
    }
}

#[derive(Debug, Clone, Copy)]
struct Quote {
    amount: u128,
    cost_max: u128,
}

#[derive(Debug, Clone)]
enum Act {
    /// A call begins.
    Start { streamed: bool },
    /// A running call ends at a share (in 256ths) of its highest cost; its headers may be lost.
    End {
        which: usize,
        share: u128,
        lost: bool,
    },
    /// What was charged is claimed on chain.
    Claim,
    /// The client starts anew without its books.
    Forget,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => any::<bool>().prop_map(|streamed| Act::Start { streamed }),
        5 => (0usize..4, 0u128..=256, prop::bool::weighted(0.2))
            .prop_map(|(which, share, lost)| Act::End { which, share, lost }),
        1 => Just(Act::Claim),
        1 => Just(Act::Forget),
    ]
}

/// The chain's and the 402's word, as a client with access to the chain takes it.
fn corrected(books: &Books) -> Client {
    let a = books.account;
    assert!(a.total_claimed <= a.charged && Some(a.charged) <= a.signed_max);
    Client {
        base: a.charged.atomic(),
        balance: a.balance.atomic(),
    }
}

fn quote() -> impl Strategy<Value = Quote> {
    (1u128..100_000, 1u128..=3, 0u128..1000).prop_map(|(cost_max, times, more)| Quote {
        amount: cost_max * times + more,
        cost_max,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_charge_is_covered_and_every_client_heals(
        quote in quote(),
        acts in prop::collection::vec(act(), 1..80),
        reads_the_chain in any::<bool>(),
    ) {
        let (mut books, mut client) = (Books::default(), Client::default());
        for act in acts {
            match act {
                Act::Start { streamed } => match books.start(client, quote, streamed, Rule::Late) {
                    Ok(()) => (),
                    Err(Unfit::Mismatch | Unfit::BelowClaimed) if reads_the_chain => {
                        client = corrected(&books);
                        let again = books.start(client, quote, streamed, Rule::Late);
                        prop_assert!(again.is_ok() || books.account.running > 0, "{again:?}");
                    }
                    Err(unfit) => prop_assert!(
                        matches!(unfit, Unfit::Mismatch | Unfit::BelowClaimed | Unfit::Busy),
                        "{unfit:?}"
                    ),
                },
                Act::End { which, share, lost } if !books.calls.is_empty() => {
                    let which = which % books.calls.len();
                    let cost = books.calls[which].cost_max * share / 256;
                    let (call, answer) = books.end(which, cost);
                    if !lost {
                        client.hears(answer, &call);
                    }
                }
                Act::End { .. } => (),
                Act::Claim => books.claim(),
                Act::Forget if reads_the_chain => client = Client {
                    base: books.account.total_claimed.atomic(),
                    balance: books.account.balance.atomic(),
                },
                Act::Forget => client = Client::default(),
            }
            prop_assert!(client.base <= books.account.charged.atomic());
        }
        while !books.calls.is_empty() {
            let (call, answer) = books.end(0, 0);
            client.hears(answer, &call);
        }
        // With nothing running, one corrective 402 at most, and the books agree to the last unit.
        if books.account.signed_max.is_some() {
            if books.start(client, quote, false, Rule::Late).is_err() {
                client = corrected(&books);
                prop_assert_eq!(books.start(client, quote, false, Rule::Late), Ok(()));
            }
            let (call, answer) = books.end(0, quote.cost_max);
            client.hears(answer, &call);
            // A client without books hears of older charges by and by.
            while client.base < books.account.charged.atomic() {
                let before = client.base;
                let account = books.account;
                let answer = report(units(before), units(quote.amount), account.charged);
                client.hears(answer, &call);
                prop_assert!(client.base > before);
            }
            prop_assert_eq!(client.base, books.account.charged.atomic());
        }
    }

    #[test]
    fn one_call_after_another_is_never_refused_with_headroom_for_two(
        cost_max in 1u128..100_000,
        more in 0u128..1000,
        calls in prop::collection::vec((any::<bool>(), 0u128..=256), 1..80),
    ) {
        let quote = Quote { amount: 2 * cost_max + more, cost_max };
        let (mut books, mut client) = (Books::default(), Client::default());
        for (streamed, share) in calls {
            prop_assert_eq!(books.start(client, quote, streamed, Rule::Late), Ok(()));
            let (call, answer) = books.end(0, cost_max * share / 256);
            client.hears(answer, &call);
            let behind = books.account.charged.atomic() - client.base;
            let late_max = if streamed { cost_max } else { 0 };
            prop_assert!(behind <= late_max);
        }
    }

    #[test]
    fn by_the_letter_the_base_is_the_charge_and_calls_wait(
        quote in quote(),
        shares in prop::collection::vec(0u128..=256, 1..40),
    ) {
        let (mut books, mut client) = (Books::default(), Client::default());
        for share in shares {
            let cost = quote.cost_max * share / 256;
            prop_assert_eq!(books.start(client, quote, false, Rule::Strict), Ok(()));
            prop_assert_eq!(books.start(client, quote, false, Rule::Strict), Err(Unfit::Busy));
            let (call, answer) = books.end(0, cost);
            prop_assert_eq!(answer.charged_amount.atomic(), cost);
            client.hears(answer, &call);
            prop_assert_eq!(client.base, books.account.charged.atomic());
            let behind = Client { base: client.base.wrapping_sub(1), ..client };
            if client.base > 0 {
                prop_assert_eq!(books.start(behind, quote, false, Rule::Strict), Err(Unfit::Mismatch));
            }
        }
    }

    #[test]
    fn no_numbers_panic(n in prop::array::uniform8(prop_oneof![8 => 0u128..8, 1 => any::<u128>(), 1 => Just(u128::MAX)])) {
        let account = Account {
            balance: units(n[0]),
            total_claimed: units(n[1]),
            charged: units(n[2]),
            reserved: units(n[3]),
            signed_max: Some(units(n[4])),
            running: 0,
        };
        let (max_claimable, amount, cost_max) = (units(n[5]), units(n[6]), units(n[7]));
        for rule in [Rule::Late, Rule::Strict] {
            if let Ok(accepted) = accept(&account, max_claimable, amount, cost_max, rule) {
                let committed = n[2].checked_add(n[3]).and_then(|sum| sum.checked_add(n[7]));
                prop_assert!(committed.unwrap() <= n[0]);
                prop_assert!(committed.unwrap() <= n[4].max(n[5]));
                prop_assert_eq!(accepted.base.plus(amount), Ok(max_claimable));
                prop_assert!(accepted.base <= account.charged);
            }
            let _ = accept_refund(&account, max_claimable, rule);
        }
        let answer = report(max_claimable, amount, account.charged);
        prop_assert!(answer.charged_amount <= amount);
        if let Ok(refund) = refundable(&account, Some(amount)) {
            prop_assert!(refund <= amount && refund.plus(account.charged).unwrap() <= account.balance);
        }
    }
}

fn account() -> Account {
    Account {
        balance: units(5000),
        total_claimed: units(400),
        charged: units(1000),
        reserved: units(0),
        signed_max: Some(units(1500)),
        running: 0,
    }
}

fn late(account: &Account, max_claimable: u128) -> Result<u128, Unfit> {
    let taken = accept(
        account,
        units(max_claimable),
        units(600),
        units(300),
        Rule::Late,
    );
    taken.map(|accepted| accepted.base.atomic())
}

#[test]
fn each_voucher_that_does_not_fit_is_named() {
    let a = account();
    assert_eq!(late(&a, 1600), Ok(1000));
    assert_eq!(late(&a, 1300), Ok(700), "one call behind");
    assert_eq!(late(&a, 1601), Err(Unfit::Mismatch), "ahead of the charges");
    assert_eq!(late(&a, 599), Err(Unfit::Mismatch), "less than the offer");
    assert_eq!(late(&a, 600), Ok(0), "the best voucher held covers it");
    let bare = Account {
        signed_max: Some(units(1000)),
        ..a
    };
    assert_eq!(late(&bare, 1299), Err(Unfit::Mismatch), "nothing covers it");
    let claimed = Account {
        total_claimed: units(700),
        ..a
    };
    assert_eq!(late(&claimed, 700), Err(Unfit::BelowClaimed));
    let poor = Account {
        balance: units(1599),
        ..a
    };
    assert_eq!(late(&poor, 1600), Err(Unfit::ExceedsBalance));
    let empty = Account {
        balance: units(0),
        ..a
    };
    assert_eq!(late(&empty, 1600), Err(Unfit::NotFound));
    let withdrawn = Account {
        balance: units(1250),
        ..a
    };
    assert_eq!(
        late(&withdrawn, 1250),
        Err(Unfit::Mismatch),
        "no voucher is worth more than the balance"
    );
    // A client that signs anew would be taken beside one call, but not beside two.
    let one = Account {
        reserved: units(300),
        running: 1,
        signed_max: Some(units(1300)),
        ..a
    };
    assert_eq!(late(&one, 1300), Err(Unfit::Mismatch));
    let two = Account {
        reserved: units(600),
        running: 2,
        signed_max: Some(units(1600)),
        ..a
    };
    assert_eq!(late(&two, 1600), Err(Unfit::Busy));
}

#[test]
fn a_refund_waits_for_calls_and_never_pays_back_a_charge() {
    let a = account();
    let ask = |account: &Account, max, rule| accept_refund(account, units(max), rule);
    assert_eq!(ask(&a, 1000, Rule::Late), Ok(()));
    assert_eq!(ask(&a, 0, Rule::Late), Ok(()), "a client that is behind");
    assert_eq!(ask(&a, 1001, Rule::Late), Err(Unfit::Mismatch));
    assert_eq!(ask(&a, 1000, Rule::Strict), Ok(()));
    assert_eq!(ask(&a, 999, Rule::Strict), Err(Unfit::Mismatch));
    let busy = Account { running: 1, ..a };
    assert_eq!(ask(&busy, 1000, Rule::Late), Err(Unfit::Busy));
    let refund = |requested: Option<u128>| refundable(&a, requested.map(units));
    assert_eq!(refund(None), Ok(units(4000)));
    assert_eq!(refund(Some(1)), Ok(units(1)));
    assert_eq!(refund(Some(4001)), Ok(units(4000)));
    assert_eq!(refund(Some(0)), Err(Refused::RefundAmount));
    let spent = Account {
        charged: units(5000),
        ..a
    };
    assert_eq!(refundable(&spent, None), Err(Refused::RefundNoBalance));
}

#[test]
fn a_channel_the_ledger_lost_is_taken_up_where_its_client_stands() {
    let taken = |claimed, base: u128| {
        let a = Account::adopted(units(5000), units(claimed), units(base));
        (a.charged.atomic(), late(&a, base + 600))
    };
    assert_eq!(taken(400, 1000), (1000, Ok(1000)));
    assert_eq!(taken(400, 400), (400, Ok(400)));
    // A client behind the chain is behind by real charges.
    assert_eq!(taken(400, 200), (400, Ok(200)));
    assert_eq!(taken(900, 200), (900, Err(Unfit::BelowClaimed)));
}

#[test]
fn every_refusal_has_the_sdks_reason() {
    for (unfit, reason, corrective) in [
        (Unfit::Mismatch, "cumulative_amount_mismatch", true),
        (Unfit::BelowClaimed, "cumulative_below_claimed", true),
        (Unfit::ExceedsBalance, "cumulative_exceeds_balance", false),
        (Unfit::NotFound, "channel_not_found", false),
        (Unfit::Busy, "channel_busy", false),
    ] {
        let refused = Refused::from(unfit);
        assert_eq!(
            refused.reason(),
            format!("invalid_batch_settlement_evm_{reason}")
        );
        assert_eq!(refused.is_corrective(), corrective);
        assert_eq!(Refusal::from(refused.clone()).reason(), refused.reason());
    }
}

#[test]
fn a_metered_call_is_taken_while_the_balance_covers_it_and_what_was_spent_is_signed_for() {
    let units = Units::from_atomic;
    let account = Account {
        balance: units(100),
        charged: units(30),
        reserved: units(20),
        signed_max: Some(units(31)),
        running: 1,
        ..Account::default()
    };
    let take = |account: &Account, voucher: u128, cost: u128| {
        let taken = accept(
            account,
            units(voucher),
            Units::ZERO,
            units(cost),
            Rule::Metered,
        );
        taken.map(|_| ())
    };
    assert_eq!(
        take(&account, 32, 50),
        Ok(()),
        "the ceiling is reserved, not signed for"
    );
    assert_eq!(take(&account, 32, 51), Err(Unfit::ExceedsBalance));
    assert_eq!(
        take(&account, 29, 10),
        Ok(()),
        "an earlier voucher is the better one"
    );
    assert_eq!(take(&account, 101, 10), Err(Unfit::ExceedsBalance));
    let owing = Account {
        charged: units(40),
        ..account
    };
    assert_eq!(
        take(&owing, 40, 10),
        Err(Unfit::Mismatch),
        "the last bill is unsigned"
    );
    assert_eq!(take(&owing, 41, 10), Ok(()));
    let full = Account {
        running: 16,
        ..account
    };
    assert_eq!(take(&full, 32, 10), Err(Unfit::Busy));
    let left = Account {
        balance: Units::ZERO,
        ..account
    };
    assert_eq!(take(&left, 32, 10), Err(Unfit::NotFound));
}
