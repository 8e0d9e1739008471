//! A gateway that could not settle what it takes does not start, and says what is wrong.

use crate::channels::client::Client;
use crate::harness::{Setup, Stack, chat};
use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use groat::chain::dev::SETTLER;

const UPTO_PROXY: &str = include_str!("../../contracts/artifacts/UptoPermit2Proxy.json");

/// What a gateway says that does not start.
async fn refuses_to_start(stack: &mut Stack) -> String {
    stack.gateway.kill_9().await;
    let before = stack.gateway.log().len();
    stack.gateway.spawn("");
    let status = stack.gateway.wait().await;
    assert!(!status.success());
    stack.gateway.log().split_off(before)
}

#[tokio::test]
async fn a_settler_made_for_other_contracts_is_refused_with_what_differs() {
    let mut stack = Stack::with(Setup {
        settler: true,
        payment: "rails = [\"upto\", \"exact\"]\n",
        ..Setup::default()
    })
    .await;
    let elsewhere = Address::repeat_byte(0xe1);
    let installed = stack.chain.install(elsewhere, UPTO_PROXY).await;
    installed.expect("a proxy's code");
    let contracts = format!(
        "[contracts]\nupto_proxy = \"{elsewhere}\"\nexact_proxy = \"{elsewhere}\"\nbatch_settlement = \"{elsewhere}\"\n"
    );
    let settler = format!("[settler]\naddress = \"{SETTLER}\"\n");
    stack
        .gateway
        .rewrite_config(|config| format!("{config}\n{settler}\n{contracts}"));
    let said = refuses_to_start(&mut stack).await;
    let its_own = groat::protocol::addresses::UPTO_PROXY;
    for part in [
        "contracts.upto_proxy".to_owned(),
        elsewhere.to_string(),
        format!("UPTO_PROXY is {its_own}"),
        SETTLER.to_string(),
    ] {
        assert!(said.contains(&part), "{part} is not told: {said}");
    }
    assert!(
        !said.contains("EXACT_PROXY"),
        "that rail is not offered: {said}"
    );
    stack.gateway.rewrite_config(|config| {
        config.replace(
            "rails = [\"upto\", \"exact\"]",
            "rails = [\"exact-permit2\", \"batch-settlement\"]",
        )
    });
    let said = refuses_to_start(&mut stack).await;
    for part in ["contracts.exact_proxy", "contracts.batch_settlement"] {
        assert!(said.contains(part), "{part} is not told: {said}");
    }
    stack
        .gateway
        .rewrite_config(|config| config.replace(&contracts, ""));
    stack.gateway.start("").await;
}

#[tokio::test]
async fn what_is_not_there_or_takes_no_calls_is_refused_by_name() {
    let mut stack = Stack::usual().await;
    stack.gateway.rewrite_config(|config| {
        format!("{config}\n[settler]\naddress = \"{SETTLER}\"\n[contracts]\nupto_proxy = \"0x{:040x}\"\n", 7)
    });
    let said = refuses_to_start(&mut stack).await;
    for part in ["contracts.upto_proxy", "settler.address"] {
        assert!(said.contains(part), "{part} is not told: {said}");
    }
    stack
        .gateway
        .rewrite_config(|config| config.replace("upto_proxy", "# upto_proxy"));
    stack.chain.settler(&[]).await.expect("a settler");
    let said = refuses_to_start(&mut stack).await;
    assert!(
        said.contains("does not take calls from the relayer"),
        "{said}"
    );
    let relayer = stack.chain.relayer_key.address();
    stack.chain.settler(&[relayer]).await.expect("a settler");
    stack.gateway.start("").await;
}

#[tokio::test]
async fn a_channel_that_owes_is_not_left_to_a_key_that_is_not_here() {
    let other = PrivateKeySigner::random();
    let mut stack = Stack::with(Setup {
        environment: vec![("IT_OTHER_KEY", format!("{:#x}", other.to_bytes()))],
        ..crate::channels::setup()
    })
    .await;
    let ether = U256::from(10_u64.pow(18));
    let funded = stack.chain.fund(other.address(), ether).await;
    funded.expect("gas for the other relayer");
    let mut client = Client::new(&stack);
    let bill = client.pay(&chat("m", "one", false)).await;
    let channel = client.channel().await;
    let old = stack.chain.relayer_key.address();
    stack
        .gateway
        .rewrite_config(|config| config.replacen("IT_RELAYER_KEY", "IT_OTHER_KEY", 1));
    let said = refuses_to_start(&mut stack).await;
    assert!(said.contains(&format!("needs {old}")), "{said}");
    let named = format!("{channel:#x}").replace("0x", "ch_");
    assert!(said.contains(&named), "{named} is not told: {said}");

    // The old key goes on signing claims, whoever sends them.
    stack.gateway.rewrite_config(|config| {
        let own = "[channels]\nauthorizer_key = { env = \"IT_RELAYER_KEY\" }";
        config.replace("[channels]", own)
    });
    stack.gateway.start("").await;
    stack.admin("/claim").await;
    let on_chain = stack.on_chain(channel).await;
    assert_eq!(on_chain.total_claimed, u128::from(bill));
    stack.reconcile().await;
}
