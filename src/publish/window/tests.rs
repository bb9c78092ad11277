//! Confirmations in any order, and what is known after each.

use std::num::NonZeroUsize;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::broker::Unroutable;
use crate::message::Properties;
use crate::publish::reader::{Origin, Position};

fn window(capacity: usize, bodies: Bodies) -> Window {
    Window::new(NonZeroUsize::new(capacity), bodies)
}

fn template() -> Arc<Template> {
    let properties = Properties::default();
    Arc::new(Template::new("", "queue", &properties, Unroutable::Return).unwrap())
}

/// The record with this number, whose body is its number.
fn record(template: &Arc<Template>, number: u64) -> Record {
    let origin = Arc::new(Origin {
        name: "file".to_owned(),
        index: 0,
        first: Position::FIRST,
    });
    let position = Position {
        record: number,
        offset: 0,
    };
    Record {
        place: Place {
            origin,
            position,
            digest: Digest::EMPTY,
        },
        template: Arc::clone(template),
        body: number.to_string().into_bytes().into(),
        input_length: 10,
    }
}

fn window_with(count: u64) -> Window {
    let (mut window, template) = (window(1000, Bodies::Kept), template());
    (1..=count).for_each(|number| window.add(&record(&template, number)));
    window
}

fn acked(window: &mut Window, numbers: Numbers) {
    let refusal = window.apply(Confirmation::Acked(numbers));
    assert!(refusal.is_none());
}

fn confirmed_up_to(window: &Window) -> u64 {
    window
        .confirmed_up_to()
        .map_or(0, |place| place.position.record)
}

fn first_unconfirmed(window: &Window) -> Option<u64> {
    Some(window.first_unconfirmed()?.position.record)
}

#[test]
fn acknowledgements_may_come_in_any_order() {
    let mut window = window_with(5);
    acked(&mut window, Numbers::One(2));
    assert_eq!((confirmed_up_to(&window), window.tally().confirmed), (0, 1));
    acked(&mut window, Numbers::One(1));
    assert_eq!((confirmed_up_to(&window), window.tally().confirmed), (2, 2));
    acked(&mut window, Numbers::One(5));
    acked(&mut window, Numbers::UpTo(4));
    assert_eq!((confirmed_up_to(&window), window.tally().confirmed), (5, 5));
    assert!(window.is_settled());
    assert_eq!(first_unconfirmed(&window), None);
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
    let refusal = window.apply(Confirmation::Nacked(Numbers::One(2)));
    assert!(matches!(refusal, Some(Refusal::Rejected)));
    acked(&mut window, Numbers::UpTo(4));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.rejected), (3, 1));
    assert_eq!(
        (confirmed_up_to(&window), first_unconfirmed(&window)),
        (1, Some(2))
    );
}

#[test]
fn what_came_back_is_not_confirmed_by_the_acknowledgement_that_follows() {
    let mut window = window_with(4);
    let refusal = window.returned(Returned::of(&template(), b"3"));
    assert!(matches!(refusal, Refusal::NoQueue(queue) if queue == "queue"));
    acked(&mut window, Numbers::UpTo(4));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.returned), (3, 1));
    assert_eq!(first_unconfirmed(&window), Some(3));
}

#[test]
fn messages_that_are_alike_come_back_in_the_order_in_which_they_were_sent() {
    let (mut window, template) = (window(9, Bodies::Forgotten), template());
    for _ in 0..3 {
        window.add(&record(&template, 7));
    }
    window.returned(Returned::of(&template, b"7"));
    window.returned(Returned::of(&template, b"7"));
    acked(&mut window, Numbers::UpTo(3));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.returned), (1, 2));
}

#[test]
fn what_comes_back_changed_still_counts_once() {
    let mut window = window_with(2);
    window.returned(Returned::of(&template(), b"changed"));
    acked(&mut window, Numbers::UpTo(2));
    let tally = window.tally();
    assert_eq!((tally.confirmed, tally.returned), (1, 1));
}

#[test]
fn there_is_room_for_so_many_messages() {
    let (mut window, template) = (window(2, Bodies::Forgotten), template());
    window.add(&record(&template, 1));
    assert!(window.has_room_for(1));
    window.add(&record(&template, 2));
    assert!(!window.has_room_for(1));
    acked(&mut window, Numbers::One(2));
    // The first is not confirmed, so the second cannot be forgotten.
    assert!(!window.has_room_for(1));
    acked(&mut window, Numbers::One(1));
    assert!(window.has_room_for(1));
}

#[test]
fn there_is_room_for_so_many_bytes_but_always_for_one_message() {
    let (mut window, template) = (window(9, Bodies::Forgotten), template());
    assert!(window.has_room_for(usize::MAX));
    window.add(&record(&template, 1));
    assert!(window.has_room_for(BYTES_IN_FLIGHT - 1));
    assert!(!window.has_room_for(BYTES_IN_FLIGHT));
    acked(&mut window, Numbers::One(1));
    assert!(window.has_room_for(usize::MAX));
}

#[test]
fn nothing_is_kept_where_nothing_is_confirmed() {
    let (mut window, template) = (Window::new(None, Bodies::Kept), template());
    (1..=5000).for_each(|number| window.add(&record(&template, number)));
    assert_eq!(window.tally().published, 5000);
    assert!(window.is_settled() && window.has_room_for(usize::MAX));
    window.returned(Returned::of(&template, b"1"));
    assert_eq!(window.tally().returned, 1);
}

fn kept(window: &Window) -> Vec<String> {
    let bodies = window.kept();
    bodies
        .map(|(_, body)| String::from_utf8(body.to_vec()).unwrap())
        .collect()
}

#[test]
fn what_is_sent_again_has_new_numbers() {
    let mut window = window_with(5);
    acked(&mut window, Numbers::One(1));
    acked(&mut window, Numbers::One(3));
    window.renumber();
    assert_eq!(kept(&window), ["2", "4", "5"]);
    // The second of those sent again.
    acked(&mut window, Numbers::One(2));
    assert_eq!(
        (confirmed_up_to(&window), first_unconfirmed(&window)),
        (1, Some(2))
    );
    acked(&mut window, Numbers::One(1));
    assert_eq!(
        (confirmed_up_to(&window), first_unconfirmed(&window)),
        (4, Some(5))
    );
    acked(&mut window, Numbers::One(3));
    assert_eq!((confirmed_up_to(&window), window.tally().confirmed), (5, 5));
}

#[test]
fn the_last_message_may_have_been_confirmed_before_the_connection_broke() {
    let mut window = window_with(3);
    acked(&mut window, Numbers::One(3));
    acked(&mut window, Numbers::One(2));
    window.renumber();
    assert_eq!(kept(&window), ["1"]);
    acked(&mut window, Numbers::One(1));
    assert_eq!(confirmed_up_to(&window), 3);
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
    /// Against the obvious model: a fate for each number, the first one told is the one that holds.
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
            prop_assert_eq!(confirmed_up_to(&window), prefix);
            prop_assert_eq!(first_unconfirmed(&window), (prefix < 30).then_some(prefix + 1));
            prop_assert_eq!(window.is_settled(), fates.iter().all(Option::is_some));
        }
    }
}
