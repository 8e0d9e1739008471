use super::*;
use crate::config::upstreams_of;
use crate::router::{Buyers, Router};

const UPSTREAMS: &str = r#"
[[upstream]]
name = "plain"
base_url = "http://127.0.0.1:1/v1"
[[upstream.model]]
id = "m"
price = { prompt = "1", completion = "2" }

[[upstream]]
name = "careful"
base_url = "http://127.0.0.1:2/v1"
region = "eu"
zdr = true
[[upstream.model]]
id = "m"
tag = "careful/fp8"
supported_parameters = ["seed"]
quantization = "fp8"
price = { prompt = "2", completion = "4", request = "0.01" }
[[upstream.model]]
id = "m"
tag = "careful/gift"
price = { prompt = "0", completion = "0" }
"#;

const MEMBERS: [&str; 3] = ["messages", "model", "seed"];

/// The tags of the endpoints that may answer.
fn allowed(wanted: &Wanted) -> Vec<String> {
    let router = Router::new(&upstreams_of(UPSTREAMS), &Buyers::default()).expect("a router");
    let model = router.model("m").expect("a model");
    let endpoints = model.endpoints.iter();
    let allowed =
        endpoints.filter(|endpoint| wanted.excludes(endpoint, MEMBERS.into_iter()).is_none());
    allowed.map(|e| e.tag().to_owned()).collect()
}

#[test]
fn every_member_that_filters_filters() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let [plain, fp8, gift] = ["plain", "careful/fp8", "careful/gift"];
    for (provider, expected) in [
        ("{}", vec![plain, fp8, gift]),
        (r#"{"only":["Plain"]}"#, vec![plain]),
        (r#"{"only":["careful"]}"#, vec![fp8, gift]),
        (r#"{"only":["careful/EU"]}"#, vec![fp8, gift]),
        (r#"{"only":["careful/us"]}"#, vec![]),
        (r#"{"only":["careful/fp8"]}"#, vec![fp8]),
        (r#"{"only":["care"]}"#, vec![]),
        (r#"{"only":[]}"#, vec![plain, fp8, gift]),
        (r#"{"ignore":["careful"]}"#, vec![plain]),
        (r#"{"order":["careful/fp8"]}"#, vec![plain, fp8, gift]),
        (
            r#"{"order":["careful/fp8"],"allow_fallbacks":false}"#,
            vec![fp8],
        ),
        (r#"{"allow_fallbacks":false}"#, vec![plain, fp8, gift]),
        (r#"{"quantizations":["fp8","bf16"]}"#, vec![fp8]),
        (r#"{"quantizations":["unknown"]}"#, vec![plain, gift]),
        (r#"{"data_collection":"deny"}"#, vec![fp8, gift]),
        (r#"{"zdr":true}"#, vec![fp8, gift]),
        (r#"{"require_parameters":true}"#, vec![fp8]),
        (
            r#"{"max_price":{"prompt":1,"completion":"2.0","image":9}}"#,
            vec![plain, gift],
        ),
        (r#"{"max_price":{"request":0.005}}"#, vec![plain, gift]),
        (
            r#"{"max_price":null,"unheard_of":[1]}"#,
            vec![plain, fp8, gift],
        ),
    ] {
        let wanted = Wanted::read(provider).expect(provider);
        assert_eq!(allowed(&wanted), expected, "{provider}");
    }
    let mut free = Wanted::default();
    free.and(Suffix::Free);
    assert_eq!(allowed(&free), [gift]);
}

#[test]
fn what_ranks_is_read_in_every_spelling() {
    let read = |text| Wanted::read(text).expect(text);
    assert_eq!(read(r#"{"sort":"latency"}"#).sort, Some(Sort::Latency));
    assert_eq!(read(r#"{"sort":"exacto"}"#).sort, None);
    let parted = read(r#"{"sort":{"by":"price","partition":"none"}}"#);
    assert_eq!(
        (parted.sort, parted.across_models),
        (Some(Sort::Price), true)
    );
    let bounds = read(r#"{"preferred_max_latency":{"p90":2.5},"preferred_min_throughput":40}"#);
    assert_eq!(bounds.max_latency.p90, Some(2.5));
    assert_eq!(bounds.min_throughput.p50, Some(40.0));

    let mut sorted = read(r#"{"sort":"price"}"#);
    sorted.and(Suffix::Nitro);
    assert_eq!(sorted.sort, Some(Sort::Price), "the object stands");
    for (name, split) in [
        ("a/b:floor", ("a/b", Some(Suffix::Floor))),
        ("a/b:nitro", ("a/b", Some(Suffix::Nitro))),
        ("a/b-v1:0:free", ("a/b-v1:0", Some(Suffix::Free))),
        ("a/b-v1:0", ("a/b-v1:0", None)),
        ("a/b:floor:x", ("a/b:floor:x", None)),
    ] {
        assert_eq!(Suffix::split(name), split);
    }
}

#[test]
fn mistakes_are_named() {
    for (provider, param) in [
        ("[]", "provider"),
        (r#"{"order":"x"}"#, "provider.order"),
        (r#"{"zdr":1}"#, "provider.zdr"),
        (r#"{"sort":"best"}"#, "provider.sort"),
        (r#"{"sort":{"partition":"x"}}"#, "provider.sort.partition"),
        (r#"{"data_collection":"no"}"#, "provider.data_collection"),
        (r#"{"quantizations":["q4"]}"#, "provider.quantizations"),
        (r#"{"max_price":{"prompt":-1}}"#, "provider.max_price"),
        (r#"{"max_price":7}"#, "provider.max_price"),
        (
            r#"{"preferred_max_latency":"fast"}"#,
            "provider.preferred_max_latency",
        ),
    ] {
        let mistake = Wanted::read(provider).expect_err(provider);
        assert_eq!(mistake.param, param);
    }
}
