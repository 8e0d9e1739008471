use super::front::{Front, Turn};
use super::hops::{Hops, Near};
use crate::harness::{Answer, Setup, Stack, chat, ended, groat, printed};
use groat::metering::Route;
use groat::protocol::receipt::{Receipt, verify};
use serde_json::{Value, json};

/// Long enough to fill several blocks of the simulator's cache.
pub(super) fn long(text: &str) -> String {
    format!(
        "{}{text}",
        "four pence were one groat in the old coin ".repeat(40)
    )
}

/// A paid answer's receipt and the one inside, which hold.
pub(super) fn receipts(answer: &Answer) -> (Receipt, Receipt) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let near = verify(&answer.receipt().to_string());
    let near = near.expect("a receipt that holds").receipt;
    let inside = near.body.upstream_receipt.clone();
    let far = *inside.unwrap_or_else(|| panic!("no receipt inside: {:?}", near.body.flags));
    (near, far)
}

/// The usage that the caller sees.
pub(super) fn usage(answer: &Answer) -> Value {
    let whole: Option<Value> = serde_json::from_str(&answer.body).ok();
    let events = answer.events().into_iter();
    let chunks = events.filter_map(|data| serde_json::from_str(&data).ok());
    let usages = whole.into_iter().chain(chunks);
    let mut usages = usages.filter_map(|value: Value| value.get("usage").cloned());
    usages.rfind(Value::is_object).expect("usage")
}

/// The bill by hand, of the near gateway's prices: in atomic units.
fn by_hand(usage: &Value) -> u128 {
    let count = |at: &str| u128::from(usage.pointer(at).and_then(Value::as_u64).expect("a count"));
    let cached = count("/prompt_tokens_details/cached_tokens");
    let uncached = count("/prompt_tokens") - cached;
    let pusd = uncached * 400_000 + cached * 40_000 + count("/completion_tokens") * 500_000;
    pusd.div_ceil(1_000_000)
}

/// Everything that must be so of two calls of one conversation, the second of them warm.
async fn passes_the_discount_on(pay: &'static str, rail: &str, header: &str) {
    let far = Stack::usual().await;
    let front = Front::before(&far.payer.url, |_| Turn::Pass, |text| text).await;
    let near = Near {
        pay,
        url: Some(front.url.clone()),
        ..Near::default()
    };
    let hops = Hops::with(far, near).await;
    let (mut ceilings, mut charged) = (0, 0);
    for (turn, stream) in [(0, false), (1, false), (2, true)] {
        let answer = hops.payer.pay(&chat("near/m", &long("?"), stream)).await;
        let (near, far) = receipts(&answer);
        let told = usage(&answer);
        assert_eq!(near.body.charged.atomic(), by_hand(&told), "{told}");
        let cached = told["prompt_tokens_details"]["cached_tokens"].as_u64();
        assert_eq!(cached > Some(0), turn > 0, "{told}");
        assert_eq!(Some(near.body.usage.cache_read), cached);
        assert_eq!(near.body.usage, far.body.usage);
        assert_eq!(near.body.flags, Vec::<String>::new());
        assert_eq!(far.body.rail, rail);
        assert_eq!(far.body.payer, hops.wallet.address());
        assert_eq!(near.body.answered_by.endpoint, "far");
        assert!(
            far.body.charged < near.body.charged,
            "the far one is cheaper"
        );
        // The far gateway's own books say the same.
        let kept = hops.far.receipt(&far.body.call).await;
        assert_eq!(kept["charged"], json!(far.body.charged));
        assert_eq!(kept["usage"], json!(far.body.usage));
        assert_ne!(near.signer, far.signer);
        let raw = near.body.raw_usage.expect("a usage object");
        assert_eq!(raw.get("receipt"), None, "it stands in the receipt once");
        ceilings += far.body.held.atomic();
        charged += far.body.charged.atomic();
    }
    assert_eq!(front.payments(), (3, 3));
    assert!(front.all_by(header));
    let left = hops
        .metric("groat_bought_budget_left_pusd{upstream=\"far\"}")
        .await;
    let moves = if rail == "x402-upto" {
        charged
    } else {
        ceilings
    };
    assert_eq!(hops.paid().await, moves);
    assert_eq!(left, 1_000_000_000_000 - moves * 1_000_000);
    let sum = hops
        .metric("groat_bought_charged_pusd{upstream=\"far\"}")
        .await;
    assert_eq!(sum, charged * 1_000_000);
    assert_eq!(hops.reconcile().await["calls"], 3);
    assert_eq!(hops.far.reconcile().await["calls"], 3);
    assert_eq!(
        hops.moved(100_000_000).await,
        moves,
        "what left the wallet is what was counted"
    );
}

#[tokio::test]
async fn a_relay_by_x402_passes_the_cache_discount_on_to_the_unit() {
    passes_the_discount_on("budget_usd = \"1.00\"", "x402-exact", "payment-signature").await;
}

#[tokio::test]
async fn a_relay_by_mpp_passes_the_cache_discount_on_to_the_unit() {
    passes_the_discount_on(
        "budget_usd = \"1.00\"\nprotocol = \"mpp\"",
        "x402-exact",
        "authorization",
    )
    .await;
}

#[tokio::test]
async fn a_relay_by_upto_pays_the_bill_and_nothing_else() {
    // The wallet's tokens take a permit for Permit2 along with the payment.
    let pay = "budget_usd = \"1.00\"\nrail = \"upto\"";
    passes_the_discount_on(pay, "x402-upto", "payment-signature").await;
}

#[tokio::test]
async fn a_receipt_is_checked_with_the_one_inside() {
    let hops = Hops::usual().await;
    let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
    let (near, far) = receipts(&answer);
    let check = async |receipt: &Value| {
        let file = hops.data().join("receipt.json");
        std::fs::write(&file, receipt.to_string()).expect("a file");
        let mut command = groat(&["receipt", "verify"]);
        printed(&ended(command.arg(&file)).await)
    };
    let (said, complaints) = check(&json!(near)).await;
    assert!(said.contains("verified: signed by"), "{said}{complaints}");
    let inside = format!("USDC, {} of {}", far.body.call, far.signer);
    assert!(said.contains(&inside), "{said}");
    let mut forged = json!(near);
    forged["upstream_receipt"]["charged"] = json!("0");
    let (_, complaints) = check(&forged).await;
    assert!(
        complaints.contains("upstream_receipt does not hold"),
        "{complaints}"
    );
    assert!(
        complaints.contains("the signature is not the signer's"),
        "{complaints}"
    );
    // Taking it out is a forgery as well.
    let mut bare = json!(near);
    bare.as_object_mut()
        .expect("an object")
        .remove("upstream_receipt");
    let (_, complaints) = check(&bare).await;
    assert!(
        complaints.contains("the signature is not the signer's"),
        "{complaints}"
    );
}

#[tokio::test]
async fn every_route_that_the_upstream_speaks_is_bought_there() {
    let setup = Setup {
        upstream: "routes = [\"chat\", \"messages\", \"responses\"]",
        ..Setup::default()
    };
    let hops = Hops::of(setup, Near::default()).await;
    for stream in [false, true] {
        for (route, body) in [
            (
                Route::Messages,
                json!({"messages": [{"role": "user", "content": long("?")}], "max_tokens": 16}),
            ),
            (
                Route::Responses,
                json!({"input": long("?"), "max_output_tokens": 16}),
            ),
        ] {
            let mut body = body;
            body["model"] = json!("near/m");
            body["stream"] = json!(stream);
            let answer = hops.payer.pay_to(route, &body.to_string()).await;
            let (near, far) = receipts(&answer);
            assert_eq!(
                (near.body.route, far.body.route),
                (Some(route), Some(route))
            );
            assert_eq!(near.body.usage, far.body.usage);
            assert_eq!(near.body.flags, Vec::<String>::new(), "{route:?} {stream}");
        }
    }
    assert_eq!(hops.reconcile().await["calls"], 4);
    assert_eq!(hops.far.reconcile().await["calls"], 4);
}
