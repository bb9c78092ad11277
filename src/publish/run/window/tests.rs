//! Confirmations in any order, and what is known after each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::broker::Numbers;

/// A record that may be returned, with this fingerprint.
fn record(fingerprint: u64) -> RecordInfo {
    RecordInfo {
        length: 1,
        input_length: 10,
        fingerprint: Some(fingerprint),
    }
}

/// Records 1 to `count`, all in flight. Their fingerprints are their numbers.
fn window_with(count: u64) -> Window {
    let mut window = Window::new();
    for number in 1..=count {
        window.add(record(number));
        window.send();
    }
    window
}

fn acked(window: &mut Window, numbers: Numbers) {
    assert_eq!(window.apply(Confirmation::Acked(numbers)), None);
    assert!(window.is_consistent());
}

#[test]
fn acknowledgements_may_come_in_any_order() {
    let mut window = window_with(5);
    acked(&mut window, Numbers::One(2));
    assert_eq!((window.first(), window.tally().confirmed), (1, 1));
    acked(&mut window, Numbers::One(1));
    assert_eq!((window.first(), window.tally().confirmed), (3, 2));
    acked(&mut window, Numbers::One(5));
    acked(&mut window, Numbers::UpTo(4));
    assert_eq!((window.first(), window.tally().confirmed), (6, 5));
    assert!(window.is_empty());
    assert_eq!(window.input_bytes(), 50);
}

#[test]
fn numbers_that_were_never_sent_confirm_nothing_more() {
    let mut window = window_with(2);
    acked(&mut window, Numbers::One(0));
    acked(&mut window, Numbers::One(3));
    acked(&mut window, Numbers::One(u64::MAX));
    assert_eq!(window.tally().confirmed, 0);
    acked(&mut window, Numbers::UpTo(u64::MAX));
    assert_eq!(window.tally().confirmed, 2);
    acked(&mut window, Numbers::UpTo(u64::MAX));
    assert_eq!(window.tally().confirmed, 2);
}

#[test]
fn what_is_rejected_is_not_confirmed() {
    let mut window = window_with(4);
    let rejected = window.apply(Confirmation::Nacked(Numbers::One(2)));
    assert_eq!(rejected, Some(2));
    acked(&mut window, Numbers::UpTo(4));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.rejected), (3, 1));
    assert_eq!(window.first(), 2);
}

#[test]
fn what_came_back_is_not_confirmed_by_the_acknowledgement_that_follows() {
    let mut window = window_with(4);
    assert_eq!(window.take_back(3), Some(3));
    acked(&mut window, Numbers::UpTo(4));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.returned), (3, 1));
    assert_eq!(window.first(), 3);
}

#[test]
fn messages_that_are_alike_come_back_in_the_order_in_which_they_were_sent() {
    let mut window = Window::new();
    for _ in 0..3 {
        window.add(record(7));
        window.send();
    }
    assert_eq!(
        (window.take_back(7), window.take_back(7)),
        (Some(1), Some(2))
    );
    acked(&mut window, Numbers::UpTo(3));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.returned), (1, 2));
}

#[test]
fn what_comes_back_changed_still_counts_once() {
    let mut window = window_with(2);
    assert_eq!(window.take_back(99), Some(1));
    acked(&mut window, Numbers::UpTo(2));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.returned), (1, 1));
}

#[test]
fn what_was_rejected_may_come_back_afterwards() {
    let mut window = window_with(3);
    assert_eq!(window.apply(Confirmation::Nacked(Numbers::One(2))), Some(2));
    assert_eq!(window.take_back(2), Some(2));
    acked(&mut window, Numbers::UpTo(3));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.returned, tally.rejected), (2, 1, 0));
}

#[test]
fn there_is_room_for_so_many_bytes_but_always_for_one_message() {
    let of_length = |length| RecordInfo {
        length,
        ..record(1)
    };
    let mut window = Window::new();
    window.add(of_length(BYTES_IN_FLIGHT + 1));
    assert_eq!(window.next_to_send(), Some(1));
    window.send();
    assert!(!window.has_room_for_bytes());
    window.add(of_length(1));
    assert_eq!(window.next_to_send(), None);
    acked(&mut window, Numbers::One(1));
    assert_eq!(window.next_to_send(), Some(2));
    window.send();
    window.add(of_length(BYTES_IN_FLIGHT));
    assert_eq!(window.next_to_send(), None);
}

#[test]
fn what_is_not_confirmed_is_forgotten_once_it_is_sent() {
    let mut window = Window::new();
    for _ in 0..5000 {
        window.add(record(1));
        window.send_unconfirmed();
    }
    assert_eq!(window.tally().published, 5000);
    assert!(window.is_empty() && window.next_to_send().is_none());
    assert_eq!(window.take_back(1), None);
    assert_eq!(window.tally().returned, 1);
}

/// Sends what is to be sent, and says what that was.
fn sent_again(window: &mut Window) -> Vec<RecordId> {
    let mut sent = Vec::new();
    while let Some(id) = window.next_to_send() {
        window.send();
        sent.push(id);
    }
    sent
}

#[test]
fn what_is_sent_again_has_new_numbers() {
    let mut window = window_with(5);
    acked(&mut window, Numbers::One(1));
    acked(&mut window, Numbers::One(3));
    window.lose_connection();
    assert_eq!((window.in_doubt(), window.open()), (3, 0));
    assert_eq!(sent_again(&mut window), [2, 4, 5]);
    assert!(window.is_all_sent());
    // The second of those sent again.
    acked(&mut window, Numbers::One(2));
    assert_eq!(window.first(), 2);
    acked(&mut window, Numbers::One(1));
    assert_eq!(window.first(), 5);
    acked(&mut window, Numbers::One(3));
    assert_eq!((window.first(), window.tally().confirmed), (6, 5));
    assert_eq!(window.tally().published, 5);
}

#[test]
fn the_last_message_may_have_been_confirmed_before_the_connection_broke() {
    let mut window = window_with(3);
    acked(&mut window, Numbers::One(3));
    acked(&mut window, Numbers::One(2));
    window.lose_connection();
    assert_eq!(sent_again(&mut window), [1]);
    assert!(window.is_all_sent());
    acked(&mut window, Numbers::One(1));
    assert_eq!(window.first(), 4);
}

fn any_confirmation(last: u64) -> impl Strategy<Value = Confirmation> {
    let numbers = prop_oneof![
        4 => (0..=last + 2).prop_map(Numbers::One),
        1 => (0..=last + 2).prop_map(Numbers::UpTo),
    ];
    prop_oneof![
        9 => numbers.clone().prop_map(Confirmation::Acked),
        1 => numbers.prop_map(Confirmation::Nacked),
    ]
}

proptest! {
    /// Compares with a simple model: one result per number, and the first one counts.
    #[test]
    fn it_knows_what_a_table_of_fates_knows(confirmations in vec(any_confirmation(30), 0..60)) {
        let mut window = window_with(30);
        let mut fates = [None; 30];
        for confirmation in confirmations {
            window.apply(confirmation);
            let (numbers, acked) = match confirmation {
                Confirmation::Acked(numbers) => (numbers, true),
                Confirmation::Nacked(numbers) => (numbers, false),
            };
            for (number, fate) in (1..).zip(&mut fates) {
                let concerns = match numbers {
                    Numbers::One(one) => number == one,
                    Numbers::UpTo(last) => number <= last,
                };
                if concerns {
                    fate.get_or_insert(acked);
                }
            }
            let count = |wanted| fates.iter().filter(|fate| **fate == Some(wanted)).count() as u64;
            let tally = window.tally();
            prop_assert_eq!((tally.confirmed, tally.rejected), (count(true), count(false)));
            let prefix = fates.iter().take_while(|fate| **fate == Some(true)).count() as u64;
            prop_assert_eq!(window.first(), prefix + 1);
            prop_assert_eq!(window.open() == 0, fates.iter().all(Option::is_some));
            prop_assert!(window.is_consistent());
        }
    }
}
