use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn answered(windows: &Windows, window: Window, now_ms: u64) -> u64 {
    windows.seen(7, window, now_ms).answered
}

#[test]
fn a_window_holds_its_time_and_no_more_than_a_slot_beyond() {
    let windows = Windows::default();
    let now = 100 * DAY;
    for (window, length, slot) in [
        (Window::FiveMinutes, 5 * MINUTE, MINUTE),
        (Window::HalfHour, 30 * MINUTE, MINUTE),
        (Window::Day, DAY, HOUR / 2),
    ] {
        let windows = Windows::default();
        windows.attempt(7, Outcome::Answered, now);
        assert_eq!(answered(&windows, window, now), 1);
        assert_eq!(answered(&windows, window, now + length), 1, "{window:?}");
        assert_eq!(answered(&windows, window, now + length + slot), 0);
        assert_eq!(windows.seen(8, window, now), Tally::default());
    }
    windows.attempt(7, Outcome::Failed, now);
    windows.attempt(7, Outcome::Failed, now + DAY);
    let seen = |at| windows.seen(7, Window::Day, at).failed;
    assert_eq!((seen(now + DAY), seen(now + 2 * DAY)), (2, 1));
}

#[test]
fn what_is_kept_is_bounded_however_long_it_goes_on() {
    let windows = Windows::default();
    for minute in 0..10_000 {
        windows.attempt(7, Outcome::Answered, minute * MINUTE);
    }
    let table = windows.lock();
    let kept: Vec<usize> = table.rings[&7]
        .iter()
        .map(|ring| ring.slots.len())
        .collect();
    assert_eq!(kept, [31, 49]);
}

#[test]
fn a_clock_that_is_set_back_does_not_hide_what_follows() {
    let windows = Windows::default();
    windows.attempt(7, Outcome::Failed, 10 * DAY);
    for _ in 0..3 {
        windows.attempt(7, Outcome::Answered, 5 * DAY);
    }
    let seen = windows.seen(7, Window::HalfHour, 5 * DAY);
    assert_eq!((seen.answered, seen.failed), (3, 0));
    // Two threads that read the clock around a minute's end count both.
    windows.attempt(7, Outcome::Answered, 5 * DAY + MINUTE);
    windows.attempt(7, Outcome::Answered, 5 * DAY + MINUTE - 1);
    assert_eq!(
        answered(&windows, Window::HalfHour, 5 * DAY + MINUTE - 1),
        5
    );
}

#[test]
fn what_is_written_is_read_again_and_what_is_old_is_forgotten() {
    let windows = Windows::default();
    let mut store: BTreeMap<SlotName, String> = BTreeMap::new();
    let write = |windows: &Windows, store: &mut BTreeMap<SlotName, String>| {
        let changes = windows.changes();
        let count = changes.len();
        for (name, slot) in changes {
            match slot {
                Some(slot) => store.insert(name, serde_json::to_string(&slot).expect("JSON")),
                None => store.remove(&name),
            };
        }
        count
    };
    let read = |store: &BTreeMap<SlotName, String>, now| {
        let slots = store.iter();
        let slots = slots.map(|(name, text)| (*name, serde_json::from_str(text).expect("a slot")));
        Windows::of(slots, now)
    };
    for minute in 0..3_000 {
        let now = minute * MINUTE;
        windows.attempt(7, Outcome::Answered, now);
        windows.settled(9, false, now);
        let priced = Priced {
            charged: Pusd::from_pico(u128::from(u64::MAX) * 3),
            listed: Pusd::from_pico(1),
        };
        let call = Observation {
            first_token: 0.2,
            whole: 1.0,
            output: 50,
            readable: 10,
            read: 9,
        };
        windows.answer(7, Some(&call), priced, now);
        assert_eq!(
            write(&windows, &mut store),
            4,
            "only what changed is written"
        );
    }
    assert_eq!(windows.changes(), []);
    assert_eq!(store.len(), 2 * (31 + 49));
    let now = 2_999 * MINUTE;
    let again = read(&store, now);
    for (endpoint, window) in [7, 9]
        .into_iter()
        .flat_map(|id| Window::ALL.map(|w| (id, w)))
    {
        assert_eq!(
            again.seen(endpoint, window, now),
            windows.seen(endpoint, window, now)
        );
    }
    // It goes on where it was.
    again.attempt(7, Outcome::Answered, now);
    assert_eq!(answered(&again, Window::FiveMinutes, now), 7);

    let later = read(&store, now + 40 * DAY);
    assert_eq!(later.seen(7, Window::Day, now + 40 * DAY), Tally::default());
    write(&later, &mut store);
    assert_eq!(store.len(), 0, "nothing is kept for ever");
}

proptest! {
    #[test]
    fn a_window_counts_what_happened_in_it(
        mut times in prop::collection::vec(0..3 * DAY, 1..200),
        ahead in 0..DAY,
    ) {
        times.sort_unstable();
        let windows = Windows::default();
        for at in &times {
            windows.attempt(7, Outcome::Answered, *at);
        }
        let now = times.last().copied().unwrap_or(0) + ahead;
        for (window, length, slot) in [
            (Window::FiveMinutes, 5 * MINUTE, MINUTE),
            (Window::HalfHour, 30 * MINUTE, MINUTE),
            (Window::Day, DAY, HOUR / 2),
        ] {
            let since = |ms: u64| times.iter().filter(|at| **at + ms >= now).count() as u64;
            let seen = answered(&windows, window, now);
            prop_assert!(since(length) <= seen && seen <= since(length + slot));
        }
    }
}
