use super::*;
use alloy::primitives::aliases::U40;
use alloy::sol_types::SolValue;

fn answer(results: &[Bytes]) -> Bytes {
    IBatchSettlement::multicallCall::abi_encode_returns(&results.to_vec()).into()
}

fn row(balance: u128, claimed: u128, withdrawing: u128, since: u64, refunds: u64) -> [Bytes; 3] {
    [
        (balance, claimed).abi_encode_params().into(),
        (withdrawing, U40::from(since)).abi_encode_params().into(),
        U256::from(refunds).abi_encode().into(),
    ]
}

#[test]
fn many_channels_are_read_out_of_one_answer() {
    let rows = [row(500, 200, 0, 0, 3), row(9, 0, 4, 1_800_000_000, 0)];
    let states = states_in(&answer(&rows.concat()), 2).expect("states");
    let first = ChannelState {
        balance: 500,
        total_claimed: 200,
        withdrawal: None,
        refund_nonce: U256::from(3),
    };
    let second = ChannelState {
        balance: 9,
        total_claimed: 0,
        withdrawal: Some(Withdrawal {
            amount: 4,
            initiated_at: 1_800_000_000,
        }),
        refund_nonce: U256::ZERO,
    };
    assert_eq!(states, [first, second]);
}

#[test]
fn an_answer_of_another_length_is_no_answer() {
    let rows = row(500, 200, 0, 0, 3);
    assert!(states_in(&answer(&rows), 2).is_err());
    assert!(states_in(&answer(&rows[..2]), 1).is_err());
    assert!(states_in(&Bytes::new(), 1).is_err());
}
