use super::*;
use crate::protocol::Network;
use crate::wallet::PeerKey;
use alloy::primitives::Address;
use std::os::unix::fs::PermissionsExt;

fn peer(n: u8) -> PeerKey {
    PeerKey {
        network: Network::from_chain_id(84_532),
        payer: Address::repeat_byte(n),
        origin: "http://127.0.0.1:4021".to_owned(),
    }
}

#[test]
fn what_is_saved_is_read_again_and_is_nobody_elses_to_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("groat").join("wallet.json");
    let store = Store::new(path.clone());
    assert_eq!(
        store.read().expect("no file is an empty one"),
        State::default()
    );
    let mut locked = store.lock(|| panic!("nobody holds it")).expect("locked");
    locked.state.pin_payee(&peer(1), Address::repeat_byte(8));
    locked.save().expect("saved");
    locked.state.pin_payee(&peer(2), Address::repeat_byte(9));
    locked.state.pin_signer(&peer(1), Address::repeat_byte(7));
    locked.save().expect("saved over the old one");
    let read = store.read().expect("readable");
    assert_eq!(read, locked.state);
    let first = read.peer(&peer(1)).expect("a peer");
    assert_eq!(first.receipt_signer, Some(Address::repeat_byte(7)));
    let mode = |path: &Path| {
        std::fs::metadata(path)
            .expect("a file")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
}

#[test]
fn one_process_at_a_time_changes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(folder.path().join("wallet.json"));
    let mut first = store.lock(|| panic!("nobody holds it")).expect("locked");
    let (waits, waiting) = std::sync::mpsc::channel();
    let other = store.clone();
    let second = std::thread::spawn(move || {
        let mut locked = other
            .lock(|| waits.send(()).expect("heard"))
            .expect("locked");
        locked.state.pin_payee(&peer(2), Address::repeat_byte(9));
        locked.save().expect("saved");
    });
    waiting.recv().expect("the second waits");
    first.state.pin_payee(&peer(1), Address::repeat_byte(8));
    first.save().expect("saved");
    drop(first);
    second.join().expect("the second ends");
    let state = store.read().expect("readable");
    assert!(
        state.peer(&peer(1)).is_some(),
        "what the first wrote is not lost"
    );
    assert!(state.peer(&peer(2)).is_some());
}

#[test]
fn a_file_of_another_form_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wallet.json");
    for text in [
        "",
        "{",
        "{}",
        r#"{"version":2,"peers":[]}"#,
        r#"{"version":1,"peers":[],"key":"0x"}"#,
    ] {
        std::fs::write(&path, text).expect("written");
        let store = Store::new(path.clone());
        assert!(matches!(store.read(), Err(StoreError::Form(..))), "{text}");
        assert!(
            matches!(store.lock(|| ()), Err(StoreError::Form(..))),
            "{text}"
        );
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), text);
    }
}
