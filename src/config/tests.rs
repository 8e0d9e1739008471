use super::*;

#[test]
fn every_mistake_is_told_at_once_with_its_path() {
    let text = "[gateway]\nlisten = \"nowhere\"\nprot = 1\n[chain]\nchain_id = \"8453\"\n[[upstream]]\nname = \"u\"\nbase_url = \"ftp://x\"\n";
    let error = Config::from_table(text.parse().expect("TOML"), &|_| None);
    let Err(ConfigError::Mistakes(mistakes)) = error else {
        panic!("it was taken: {error:?}");
    };
    let paths: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake.path.as_str())
        .collect();
    for path in [
        "gateway.listen",
        "gateway.prot",
        "chain.rpc_url",
        "chain.chain_id",
        "asset.address",
        "payment.pay_to",
        "payment.relayer_key",
        "upstream[0].base_url",
        "upstream[0].model",
    ] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
}

/// A configuration with nothing wrong but for what its upstreams say.
fn with_upstreams(upstreams: &str) -> Result<Config, ConfigError> {
    let text = format!(
        r#"
[chain]
rpc_url = "http://127.0.0.1:8545"
chain_id = 84532
[asset]
address = "0x036cbd53842c5426634e7929541ec2318f3dcf7e"
name = "USDC"
version = "2"
[payment]
pay_to = "0x1111111111111111111111111111111111111111"
relayer_key = {{ env = "KEY" }}
receipt_key = {{ env = "KEY" }}
{upstreams}"#
    );
    let environment = |name: &str| match name {
        "KEY" => Some("11".repeat(32)),
        name => name.ends_with("_API_KEY").then(|| "the key".to_owned()),
    };
    Config::from_table(text.parse().expect("TOML"), &environment)
}

#[test]
fn the_rails_of_tempo_need_their_build_and_mpp_and_an_escrow() {
    let told = |rails: &str, more: &str| -> Vec<String> {
        let upstream = "[[upstream]]\nname = \"u\"\nbase_url = \"http://u\"\n[[upstream.model]]\nid = \"m\"\noutput_cap = 9\nprice = { prompt = \"1\", completion = \"1\" }\n";
        match with_upstreams(&format!("rails = [{rails}]\n{more}{upstream}")) {
            Err(ConfigError::Mistakes(mistakes)) => {
                mistakes.into_iter().map(|mistake| mistake.path).collect()
            }
            other => {
                other.expect("a configuration");
                Vec::new()
            }
        }
    };
    let none: [&str; 0] = [];
    let escrow = "[tempo]\nescrow = \"0x1111111111111111111111111111111111111111\"\n";
    if cfg!(feature = "tempo") {
        assert_eq!(told("\"tempo-charge\"", ""), none);
        assert_eq!(told("\"tempo-session\"", escrow), none);
        assert_eq!(told("\"tempo-session\"", ""), ["tempo.escrow"]);
        let without = "[mpp]\nenabled = false\n";
        assert_eq!(told("\"tempo-charge\"", without), ["mpp.enabled"]);
    } else {
        assert_eq!(told("\"exact\", \"tempo-charge\"", ""), ["payment.rails"]);
        assert_eq!(
            told("\"exact\", \"tempo-session\"", escrow),
            ["payment.rails"]
        );
    }
}

#[test]
fn every_template_is_a_whole_upstream_but_for_its_models() {
    let names = [
        "openrouter",
        "deepseek",
        "moonshot",
        "zai",
        "minimax",
        "alibaba",
        "anthropic",
        "openai",
        "gemini",
        "xai",
        "mistral",
        "groq",
        "together",
        "fireworks",
        "deepinfra",
        "vllm",
        "llama.cpp",
    ];
    for name in names {
        let config = with_upstreams(&format!(
            "[[upstream]]\ntemplate = \"{name}\"\n[[upstream.model]]\nid = \"m\"\nprice = {{ prompt = \"1\", completion = \"2\" }}"
        ));
        let config = config.unwrap_or_else(|error| panic!("{name}: {error}"));
        let upstream = config.upstreams.first().expect("an upstream");
        assert_eq!(upstream.name, name);
        let local = upstream.base_url.starts_with("http://127.0.0.1:");
        assert!(local || upstream.base_url.starts_with("https://"), "{name}");
        assert_eq!(!upstream.keys.is_empty(), !local, "{name}");
        assert!(!upstream.routes.is_empty(), "{name}");
        let own_dialect = upstream.dialect.name() == name;
        assert!(own_dialect || local, "{name}: {}", upstream.dialect);
    }
}

#[test]
fn what_a_configuration_says_goes_before_its_template() {
    let config = with_upstreams(
        r#"[[upstream]]
template = "deepseek"
name = "mine"
base_url = "https://relay.example/v1/"
urls = { messages = "https://relay.example/m" }
[[upstream.model]]
id = "deepseek/deepseek-chat"
litellm = "deepseek/deepseek-chat"
routes = ["messages"]"#,
    )
    .expect("a configuration");
    let upstream = config.upstreams.first().expect("an upstream");
    assert_eq!(upstream.name, "mine");
    let urls: Vec<&str> = upstream.routes.values().map(String::as_str).collect();
    assert_eq!(
        urls,
        [
            "https://relay.example/v1/chat/completions",
            "https://relay.example/m"
        ]
    );
    let model = upstream.models.first().expect("a model");
    assert_eq!(
        model
            .routes
            .iter()
            .map(|route| route.name())
            .collect::<Vec<_>>(),
        ["messages"]
    );
    assert!(!model.price.is_free() && model.context_tokens.is_some());
}

#[test]
fn a_model_says_itself_whether_it_is_cancelled_or_else_its_upstream_or_its_template_does() {
    let price = "price = { prompt = \"1\", completion = \"2\" }";
    let model =
        |id: u8, lines: &str| format!("[[upstream.model]]\nid = \"m{id}\"\n{lines}\n{price}\n");
    for (upstream, of_itself) in [
        ("template = \"deepseek\"", true),
        ("template = \"deepseek\"\ncancel_abandoned = false", false),
        ("template = \"openai\"", false),
        ("template = \"groq\"", false),
        ("template = \"openrouter\"", false),
        ("name = \"x\"\nbase_url = \"http://x\"", false),
    ] {
        let models = [
            model(1, ""),
            model(2, "cancel_abandoned = true"),
            model(3, "cancel_abandoned = false"),
        ];
        let config = with_upstreams(&format!("[[upstream]]\n{upstream}\n{}", models.concat()));
        let config = config.unwrap_or_else(|error| panic!("{upstream}: {error}"));
        let models = &config.upstreams.first().expect("an upstream").models;
        let cancelled: Vec<bool> = models.iter().map(|model| model.cancel_abandoned).collect();
        assert_eq!(cancelled, [of_itself, true, false], "{upstream}");
    }
}

#[test]
fn mistakes_in_how_an_upstream_is_paid_are_named() {
    let read = |pay: &str, lines: &str| {
        with_upstreams(&format!(
            "[[upstream]]\nname = \"u\"\nbase_url = \"http://u/v1\"\n{lines}\npay = {{ {pay} }}\n\
             [[upstream.model]]\nid = \"m\"\nprice = {{ prompt = \"1\", completion = \"2\" }}"
        ))
    };
    let key = "key = { env = \"KEY\" }, budget_usd = \"2.5\"";
    let config = read(key, "").expect("a configuration");
    let pay = config.upstreams.first().and_then(|u| u.pay.clone());
    let pay = pay.expect("a wallet");
    assert_eq!(
        (pay.rail, pay.protocol),
        (RailKind::Exact, PayProtocol::X402)
    );
    assert_eq!(
        (pay.budget.usd_text(), pay.call_max.usd_text()),
        ("2.5".to_owned(), "1".to_owned())
    );
    let told = config.remarks();
    let told = told.iter().find(|remark| remark.starts_with("u: "));
    let expected =
        "u: it is paid for each call, by x402 exact, at most 1 USD for one and 2.5 USD for all";
    assert_eq!(told.map(String::as_str), Some(expected));
    for (pay, lines, path) in [
        ("budget_usd = \"1\"", "", "pay.key"),
        (
            "key = { env = \"X_API_KEY\" }, budget_usd = \"1\"",
            "",
            "pay.key",
        ),
        ("key = { env = \"KEY\" }", "", "pay.budget_usd"),
        (
            &format!("{key}, rail = \"batch-settlement\""),
            "",
            "pay.rail",
        ),
        (
            &format!("{key}, protocol = \"mpp\", rail = \"upto\""),
            "",
            "pay.rail",
        ),
        (&format!("{key}, protocol = \"l402\""), "", "pay.protocol"),
        (
            &format!("{key}, call_max_usd = \"a lot\""),
            "",
            "pay.call_max_usd",
        ),
        (key, "key = { env = \"X_API_KEY\" }", "pay"),
    ] {
        match read(pay, lines) {
            Err(ConfigError::Mistakes(mistakes)) => {
                let paths: Vec<&str> = mistakes.iter().map(|m| m.path.as_str()).collect();
                assert_eq!(paths, [format!("upstream[0].{path}")], "{pay} {lines}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn mistakes_in_routes_and_templates_are_named() {
    let upstream = |lines: &str, model: &str| {
        let text = format!(
            "[[upstream]]\nname = \"u\"\nbase_url = \"http://u/v1\"\n{lines}\n[[upstream.model]]\nid = \"m\"\n{model}"
        );
        match with_upstreams(&text) {
            Err(ConfigError::Mistakes(mistakes)) => mistakes.into_iter().map(|m| m.path).collect(),
            other => panic!("{other:?}"),
        }
    };
    let price = "price = { prompt = \"1\", completion = \"2\" }";
    let expect = |lines: &str, model: &str, path: &str| {
        let paths: Vec<String> = upstream(lines, model);
        assert_eq!(paths, [path], "{lines} {model}");
    };
    expect("template = \"nobody\"", price, "upstream[0].template");
    expect(
        "template = \"deepseek\"\nbill_reported_cost = true",
        price,
        "upstream[0].bill_reported_cost",
    );
    expect("routes = [\"voice\"]", price, "upstream[0].routes");
    expect("routes = []", price, "upstream[0].routes");
    expect(
        "urls = { messages = \"http://u\" }",
        price,
        "upstream[0].urls.messages",
    );
    expect("urls = { chat = \"u\" }", price, "upstream[0].urls.chat");
    expect(
        "",
        &format!("{price}\nroutes = [\"messages\"]"),
        "upstream[0].model[0].routes",
    );
    expect(
        "",
        "litellm = \"nobody/nothing\"",
        "upstream[0].model[0].litellm",
    );
}

#[test]
fn what_is_told_of_models_and_providers_is_checked_and_kept() {
    let entry = |upstream: &str, model: &str| {
        with_upstreams(&format!(
            "[[upstream]]\ntemplate = \"deepseek\"\n{upstream}\n[[upstream.model]]\nid = \"m\"\nprice = {{ prompt = \"1\", completion = \"2\" }}\n{model}"
        ))
    };
    let config = entry(
        "headquarters = \"CN\"\nprivacy_policy_url = \"https://example.com/privacy\"",
        "name = \"M\"\ncreated = 1735171200\ninput_modalities = [\"text\", \"image\"]",
    );
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let upstream = config.upstreams.first().expect("an upstream");
    assert_eq!(upstream.card.headquarters.as_deref(), Some("CN"));
    let model = upstream.models.first().expect("a model");
    assert_eq!(
        model.card,
        ModelCard {
            name: Some("M".to_owned()),
            created: Some(1_735_171_200),
            input_modalities: vec!["text".to_owned(), "image".to_owned()],
            ..ModelCard::default()
        }
    );
    let wrong = entry(
        "datacenters = [\"Germany\"]\nstatus_page_url = \"nowhere\"",
        "output_modalities = [\"smell\"]\ncreated = \"yesterday\"",
    );
    let Err(ConfigError::Mistakes(mistakes)) = wrong else {
        panic!("it was taken: {wrong:?}");
    };
    let paths: Vec<&str> = mistakes.iter().map(|m| m.path.as_str()).collect();
    for path in [
        "upstream[0].datacenters",
        "upstream[0].status_page_url",
        "upstream[0].model[0].output_modalities",
        "upstream[0].model[0].created",
    ] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
}
