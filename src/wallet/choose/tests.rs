use super::*;
use crate::money::AssetDecimals;
use proptest::prelude::*;
use serde_json::{Value, json};

const USDC: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const PAYEE: &str = "0x00000000000000000000000000000000000000Aa";

/// The rails that x402 offers by.
const BY_X402: [RailKind; 4] = [
    RailKind::Exact,
    RailKind::ExactPermit2,
    RailKind::Upto,
    RailKind::Channel,
];

fn offer(rail: RailKind, amount: u128) -> Requirements {
    let (scheme, extra) = match rail {
        RailKind::Exact => ("exact", json!({})),
        RailKind::ExactPermit2 => ("exact", json!({"assetTransferMethod": "permit2"})),
        RailKind::Upto => (
            "upto",
            json!({"assetTransferMethod": "permit2", "facilitatorAddress": PAYEE}),
        ),
        RailKind::Channel => (
            "batch-settlement",
            json!({"receiverAuthorizer": PAYEE, "withdrawDelay": 900}),
        ),
        RailKind::TempoCharge | RailKind::TempoSession => unreachable!("none of x402's"),
    };
    let mut offer = json!({
        "scheme": scheme,
        "network": "eip155:84532",
        "amount": amount.to_string(),
        "asset": USDC,
        "payTo": PAYEE,
        "maxTimeoutSeconds": 60,
        "extra": {"name": "USDC", "version": "2"},
    });
    offer["extra"]
        .as_object_mut()
        .expect("an object")
        .extend(extra.as_object().cloned().unwrap_or_default());
    serde_json::from_value(offer).expect("an offer")
}

fn changed(rail: RailKind, key: &str, value: Value) -> Requirements {
    let mut offer = serde_json::to_value(offer(rail, 10)).expect("JSON");
    *offer.pointer_mut(key).expect("a member") = value;
    serde_json::from_value(offer).expect("an offer")
}

fn without(rail: RailKind, key: &str) -> Requirements {
    let mut offer = offer(rail, 10);
    offer.extra.as_mut().expect("extra").remove(key);
    offer
}

fn with(rail: RailKind, key: &str, value: Value) -> Requirements {
    let mut offer = offer(rail, 10);
    offer
        .extra
        .as_mut()
        .expect("extra")
        .insert(key.to_owned(), value);
    offer
}

fn limits(max: &str) -> Limits {
    Limits {
        max: Pusd::from_usd_text(max).expect("an amount"),
        assets: Vec::new(),
        accept_payee: false,
    }
}

fn fit(offer: &Requirements) -> Result<Candidate, Unfit> {
    screen(offer, &limits("1.00"), None)
}

#[test]
fn each_rail_is_known_by_its_offer() {
    for rail in BY_X402 {
        let candidate = fit(&offer(rail, 10)).expect("it fits");
        assert_eq!((candidate.rail, candidate.asset.symbol), (rail, "USDC"));
    }
}

#[test]
fn an_offer_that_lacks_what_its_scheme_needs_is_not_paid() {
    for (rail, key) in [
        (RailKind::Exact, "name"),
        (RailKind::Exact, "version"),
        (RailKind::Upto, "facilitatorAddress"),
        (RailKind::Channel, "receiverAuthorizer"),
        (RailKind::Channel, "withdrawDelay"),
        (RailKind::Channel, "name"),
    ] {
        let refused = fit(&without(rail, key));
        assert!(matches!(refused, Err(Unfit::Scheme(_))), "{rail} {key}");
    }
    let nobody = "0x0000000000000000000000000000000000000000";
    for (key, value) in [
        ("withdrawDelay", json!(899)),
        ("withdrawDelay", json!("900")),
        ("receiverAuthorizer", json!(nobody)),
        ("assetTransferMethod", json!("erc7710")),
    ] {
        let refused = fit(&with(RailKind::Channel, key, value));
        assert!(matches!(refused, Err(Unfit::Scheme(_))), "{key}");
    }
    let refused = fit(&changed(RailKind::Exact, "/scheme", json!("deferred")));
    assert_eq!(refused, Err(Unfit::Scheme("deferred".to_owned())));
    let refused = fit(&changed(RailKind::Exact, "/payTo", json!(nobody)));
    assert_eq!(refused, Err(Unfit::Nobody));
}

#[test]
fn money_moves_only_in_a_known_order() {
    let flow = |rail, flow: &str| fit(&with(rail, "paymentFlow", json!(flow)));
    assert!(flow(RailKind::Exact, "upfront").is_ok());
    assert!(flow(RailKind::Upto, "authorization").is_ok());
    for (rail, name) in [
        (RailKind::Upto, "upfront"),
        (RailKind::Channel, "upfront"),
        (RailKind::Exact, "escrow"),
    ] {
        assert_eq!(flow(rail, name), Err(Unfit::Flow(name.to_owned())));
    }
}

#[test]
fn an_unknown_asset_is_paid_only_where_it_is_allowed() {
    let other = "0x00000000000000000000000000000000000000Bb";
    let unknown = changed(RailKind::Exact, "/asset", json!(other));
    assert!(matches!(fit(&unknown), Err(Unfit::Asset { .. })));
    let elsewhere = changed(RailKind::Exact, "/network", json!("eip155:8453"));
    assert!(
        matches!(fit(&elsewhere), Err(Unfit::Asset { .. })),
        "the same address of another chain is another token"
    );
    let mut limits = limits("1.00");
    limits
        .assets
        .push(format!("{other}:18").parse().expect("an asset"));
    let candidate = screen(&unknown, &limits, None).expect("it is allowed");
    assert_eq!(candidate.asset.decimals.get(), 18);
    assert!(within(
        Units::from_atomic(10_u128.pow(18)),
        candidate.asset,
        limits.max
    ));
    assert!(!within(
        Units::from_atomic(10_u128.pow(18) + 1),
        candidate.asset,
        limits.max
    ));
}

#[test]
fn a_payee_that_changed_is_refused_until_it_is_accepted() {
    let now: Address = PAYEE.parse().expect("an address");
    let before = Address::repeat_byte(7);
    let offer = offer(RailKind::Exact, 10);
    let mut limits = limits("1.00");
    assert!(screen(&offer, &limits, Some(now)).is_ok());
    let refused = screen(&offer, &limits, Some(before));
    assert_eq!(refused, Err(Unfit::Payee { now, before }));
    limits.accept_payee = true;
    assert!(screen(&offer, &limits, Some(before)).is_ok());
}

#[test]
fn the_cheapest_that_will_do_is_chosen() {
    use Allowance::{Approved, ByPermit, Missing, Unknown};
    let all = [
        RailKind::Exact,
        RailKind::Channel,
        RailKind::Upto,
        RailKind::ExactPermit2,
    ];
    let permit2 = [RailKind::Upto, RailKind::ExactPermit2];
    let (channel, upto) = ([RailKind::Channel], [RailKind::Upto]);
    let cases: [(&[RailKind], bool, Allowance, Option<RailKind>); 10] = [
        (&all, true, Approved, Some(RailKind::Channel)),
        (&all, true, Unknown, Some(RailKind::Channel)),
        (&all, false, Approved, Some(RailKind::Upto)),
        (&all, false, ByPermit, Some(RailKind::Upto)),
        (&all, false, Missing, Some(RailKind::Exact)),
        (&all, false, Unknown, Some(RailKind::Exact)),
        (&permit2, false, ByPermit, Some(RailKind::Upto)),
        (&channel, false, Approved, None),
        (&upto, false, Unknown, None),
        (&[], true, Approved, None),
    ];
    for (rails, channel_has_room, allowance, expected) in cases {
        let means = Means {
            channel_has_room,
            allowance,
        };
        let candidates: Vec<_> = rails
            .iter()
            .map(|rail| (fit(&offer(*rail, 10)).expect("it fits"), means))
            .collect();
        let chosen = choose(&candidates, None, limits("1.00").max);
        let chosen = chosen.map(|choice| choice.candidate.rail);
        assert_eq!(chosen, expected, "{rails:?} {means:?}");
        for wish in BY_X402 {
            let chosen = choose(&candidates, Some(wish), limits("1.00").max);
            let chosen = chosen.map(|choice| choice.candidate.rail);
            assert_eq!(chosen, rails.contains(&wish).then_some(wish));
        }
    }
}

#[test]
fn assets_are_read_with_their_decimal_places() {
    let asset: Asset = USDC.parse().expect("an asset");
    assert_eq!(asset.decimals, AssetDecimals::USDC);
    for wrong in [
        "",
        "USDC",
        "0x12",
        &format!("{USDC}:19"),
        &format!("{USDC}:x"),
    ] {
        assert!(wrong.parse::<Asset>().is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn what_is_above_the_limit_is_chosen_only_when_all_is(
        offers in prop::collection::vec((0_usize..4, 1_u128..3_000_000, any::<bool>(), 0_usize..4), 1..8),
        wish in prop::option::of(0_usize..4),
    ) {
        use Allowance::{Approved, ByPermit, Missing, Unknown};
        let candidates: Vec<_> = offers
            .iter()
            .map(|(rail, amount, channel_has_room, allowance)| {
                let means = Means {
                    channel_has_room: *channel_has_room,
                    allowance: [Approved, ByPermit, Missing, Unknown][*allowance],
                };
                (fit(&offer(BY_X402[*rail], *amount)).expect("it fits"), means)
            })
            .collect();
        let max = limits("1.00").max;
        let wish = wish.map(|at| BY_X402[at]);
        let choice = choose(&candidates, wish, max);
        let will_do = |(c, m): &&(Candidate, Means)| match wish {
            Some(wish) => c.rail == wish,
            None => rank(c.rail, *m).is_some(),
        };
        let affordable = candidates.iter().filter(will_do).any(|(c, _)| within(c.offer.amount, c.asset, max));
        match choice {
            None => prop_assert!(!candidates.iter().any(|c| will_do(&c))),
            Some(choice) => {
                let chosen = &choice.candidate;
                prop_assert_eq!(within(chosen.offer.amount, chosen.asset, max), affordable);
                prop_assert!(candidates.iter().any(|(c, m)| c == chosen && *m == choice.means));
                prop_assert!(wish.is_none_or(|wish| wish == chosen.rail));
            }
        }
    }
}
