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
