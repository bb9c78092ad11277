//! What the core does, event by event.

use super::*;
use crate::broker::{Confirmation, Numbers};

const SIGTERM: i32 = 15;

/// A run in a scene of its own, on its first connection.
#[derive(Clone)]
struct Scene {
    run: Run,
    now: Time,
    connection: Connection,
    actions: Vec<Action>,
}

fn options() -> RunOptions {
    RunOptions {
        count: None,
        extent: Extent::WhatIsThere,
        interval: None,
        retry: Time::from_secs(60),
    }
}

impl Scene {
    fn connected(options: RunOptions, ready: u32) -> Scene {
        let mut actions = Vec::new();
        let run = Run::begin(options, &mut actions);
        assert_eq!(actions, [Action::Connect(1, Time::ZERO)]);
        let mut scene = Scene {
            run,
            now: Time::ZERO,
            connection: 1,
            actions: Vec::new(),
        };
        scene.hear(FromBroker::Connected { ready });
        scene
    }

    /// The same, and so many messages are delivered and their copies on their way.
    fn with_messages(options: RunOptions, ready: u32, count: u64) -> Scene {
        let mut scene = Scene::connected(options, ready);
        scene.hear(FromBroker::Subscribed(1));
        for tag in 1..=count {
            assert!(scene.deliver(1, tag).contains(&Action::Publish(tag)));
        }
        scene
    }

    fn tell(&mut self, event: Event) -> &[Action] {
        self.actions.clear();
        self.run.on(event, self.now, &mut self.actions);
        &self.actions
    }

    fn hear(&mut self, event: FromBroker) -> &[Action] {
        self.tell(Event::Broker(self.connection, event))
    }

    fn deliver(&mut self, subscription: Subscription, tag: Tag) -> &[Action] {
        self.hear(FromBroker::Delivered(delivery(subscription, tag)))
    }

    fn wait(&mut self, seconds: u64) -> &[Action] {
        self.now += Time::from_secs(seconds);
        self.tell(Event::Time)
    }
}

fn delivery(subscription: Subscription, tag: Tag) -> Delivery {
    Delivery {
        tag,
        subscription,
        length: 1,
        redelivered: false,
        fingerprint: tag,
        unfit: None,
    }
}

fn ack(tag: Tag) -> FromBroker {
    FromBroker::Confirmed(Confirmation::Acked(Numbers::One(tag)))
}

fn nack(tag: Tag) -> FromBroker {
    FromBroker::Confirmed(Confirmation::Nacked(Numbers::One(tag)))
}

fn returned(fingerprint: u64) -> FromBroker {
    let reason = "no queue".to_owned();
    FromBroker::Returned {
        fingerprint,
        reason,
    }
}

fn lost() -> FromBroker {
    FromBroker::Lost(Trouble {
        reason: "it broke".to_owned(),
        may_pass: true,
    })
}

fn failed(reason: &str) -> Ended {
    Ended::Failed(reason.to_owned())
}

#[test]
fn what_was_there_is_moved_and_made_certain() {
    let mut scene = Scene::connected(options(), 2);
    assert_eq!(scene.actions, [Action::Subscribe(1, 2)]);
    scene.hear(FromBroker::Subscribed(1));
    assert_eq!(scene.deliver(1, 1), [Action::Publish(1)]);
    assert_eq!(
        scene.deliver(1, 2),
        [Action::Publish(2), Action::Cancel(1)],
        "no more are wanted"
    );
    scene.hear(FromBroker::Cancelled(1));
    assert!(scene.hear(ack(2)).is_empty());
    assert_eq!(scene.hear(ack(1)), [Action::Ack(2), Action::Close]);
    assert_eq!(scene.run.tally().moved, 0);
    scene.hear(FromBroker::Closed);
    assert_eq!(scene.run.ended(), Some(Ended::Complete));
    assert_eq!(scene.run.tally().moved, 2);
}

#[test]
fn only_what_has_a_copy_with_all_before_it_is_acknowledged() {
    let mut scene = Scene::with_messages(options(), 9, 4);
    scene.hear(ack(2));
    assert!(scene.tell(Event::Quiet).is_empty());
    scene.hear(ack(4));
    assert_eq!(scene.hear(ack(1)), [Action::Ack(2)]);
    assert!(scene.tell(Event::Quiet).is_empty());
    assert_eq!(scene.hear(ack(3)), [Action::Ack(4)]);
}

#[test]
fn a_refused_copy_ends_it_and_its_message_goes_back() {
    for refusal in [nack(2), returned(2)] {
        let mut scene = Scene::with_messages(options(), 3, 3);
        scene.hear(FromBroker::Cancelled(1));
        scene.hear(ack(1));
        scene.hear(refusal.clone());
        let was_returned = refusal == returned(2);
        if was_returned {
            // The broker confirms it all the same.
            scene.hear(ack(2));
        }
        assert_eq!(
            scene.hear(ack(3))[..],
            [Action::Return(2), Action::Ack(3), Action::Close]
        );
        scene.hear(FromBroker::Closed);
        assert!(matches!(scene.run.ended(), Some(Ended::Failed(_))));
        assert_eq!(scene.run.tally().moved, 2);
    }
}

#[test]
fn where_it_cannot_be_told_which_copy_came_back_none_on_its_way_counts() {
    let mut scene = Scene::with_messages(options(), 3, 3);
    scene.hear(FromBroker::Cancelled(1));
    assert_eq!(scene.hear(ack(1)), [Action::Ack(1)]);
    assert_eq!(scene.hear(returned(77)), [Action::Return(3), Action::Close]);
}

#[test]
fn the_reason_may_come_after_the_rejection() {
    let mut scene = Scene::with_messages(options(), 2, 2);
    scene.hear(FromBroker::Cancelled(1));
    scene.hear(nack(1));
    scene.hear(returned(1));
    scene.hear(ack(2));
    scene.hear(FromBroker::Closed);
    assert_eq!(scene.run.ended(), Some(failed("no queue")));
}

#[test]
fn a_queue_is_empty_when_a_subscription_that_brought_nothing_is_cancelled() {
    let mut scene = Scene::with_messages(options(), 3, 1);
    assert_eq!(scene.hear(ack(1)), [Action::Ack(1)]);
    // Others have taken the rest. This subscription has brought something: another one is needed.
    assert_eq!(scene.tell(Event::Quiet), [Action::Count]);
    scene.hear(FromBroker::Ready(0));
    assert_eq!(scene.tell(Event::Quiet), [Action::Subscribe(2, 2)]);
    assert_eq!(scene.hear(FromBroker::Subscribed(2)), [Action::Cancel(1)]);
    scene.hear(FromBroker::Cancelled(1));
    assert_eq!(scene.tell(Event::Quiet), [Action::Cancel(2)]);
    assert_eq!(scene.hear(FromBroker::Cancelled(2)), [Action::Count]);
    assert_eq!(scene.hear(FromBroker::Ready(0)), [Action::Close]);
    scene.hear(FromBroker::Closed);
    assert_eq!(scene.run.ended(), Some(Ended::Complete));
}

#[test]
fn copies_with_the_same_content_of_which_one_is_rejected_and_one_comes_back_are_both_refused() {
    let mut scene = Scene::with_messages(options(), 2, 0);
    for tag in 1..=2 {
        scene.hear(FromBroker::Delivered(Delivery {
            fingerprint: 7,
            ..delivery(1, tag)
        }));
    }
    scene.hear(FromBroker::Cancelled(1));
    scene.hear(returned(7));
    scene.hear(nack(1));
    scene.hear(ack(2));
    assert_eq!(scene.run.tally().moved, 0);
    scene.hear(FromBroker::Closed);
    assert_eq!(scene.run.tally().moved, 0);
}

#[test]
fn a_queue_that_has_messages_and_delivers_none_is_told() {
    let mut scene = Scene::connected(options(), 3);
    scene.hear(FromBroker::Subscribed(1));
    assert_eq!(scene.tell(Event::Quiet), [Action::Count]);
    assert!(scene.hear(FromBroker::Ready(3)).is_empty());
    assert!(scene.tell(Event::Quiet).is_empty());
    assert_eq!(scene.run.deadline(), Some(Time::from_secs(5)));
    scene.wait(5);
    assert_eq!(scene.tell(Event::Quiet), [Action::Cancel(1)]);
    assert_eq!(scene.hear(FromBroker::Cancelled(1)), [Action::Count]);
    assert_eq!(scene.hear(FromBroker::Ready(3)), [Action::Close]);
    scene.hear(FromBroker::Closed);
    assert!(matches!(scene.run.ended(), Some(Ended::Failed(_))));
}

#[test]
fn acknowledgements_are_made_certain_before_they_are_too_many() {
    let follow = RunOptions {
        extent: Extent::Follow,
        ..options()
    };
    let mut scene = Scene::connected(follow, 0);
    scene.hear(FromBroker::Subscribed(1));
    for tag in 1..=12 {
        scene.deliver(1, tag);
        scene.hear(ack(tag));
        let actions = scene.tell(Event::Quiet);
        assert_eq!(actions[0], Action::Ack(tag));
        assert_eq!(actions.len() > 1, tag == 12, "{actions:?}");
    }
    assert_eq!(scene.hear(FromBroker::Subscribed(2)), [Action::Cancel(1)]);
    assert_eq!(scene.run.tally().moved, 0);
    scene.hear(FromBroker::Cancelled(1));
    assert_eq!(scene.run.tally().moved, 12);
}

#[test]
fn what_a_lost_connection_held_is_waited_for() {
    let mut scene = Scene::with_messages(options(), 9, 3);
    scene.hear(ack(1));
    assert_eq!(scene.tell(Event::Quiet), [Action::Ack(1)]);
    let connect = Action::Connect(2, Time::ZERO);
    assert_eq!(scene.hear(lost()).last(), Some(&connect));
    assert_eq!(scene.run.tally().in_doubt, 1);
    scene.connection = 2;
    assert_eq!(
        scene.hear(FromBroker::Connected { ready: 0 }),
        [Action::Subscribe(2, 9)]
    );
    scene.hear(FromBroker::Subscribed(2));
    scene.tell(Event::Quiet);
    scene.hear(FromBroker::Cancelled(2));
    assert_eq!(scene.hear(FromBroker::Ready(0)), [Action::Subscribe(3, 9)]);
    scene.hear(FromBroker::Subscribed(3));
    let mut patient = scene.clone();
    for tag in 1..=2 {
        scene.hear(FromBroker::Delivered(Delivery {
            redelivered: true,
            ..delivery(3, tag)
        }));
        scene.hear(ack(tag));
    }
    scene.tell(Event::Quiet);
    scene.hear(FromBroker::Subscribed(4));
    scene.hear(FromBroker::Cancelled(3));
    scene.tell(Event::Quiet);
    scene.hear(FromBroker::Cancelled(4));
    assert_eq!(scene.hear(FromBroker::Ready(0)), [Action::Close]);
    scene.hear(FromBroker::Closed);
    assert_eq!(scene.run.ended(), Some(Ended::Complete));

    patient.wait(10);
    patient.tell(Event::Quiet);
    patient.hear(FromBroker::Cancelled(3));
    patient.hear(FromBroker::Ready(0));
    patient.hear(FromBroker::Closed);
    assert!(matches!(patient.run.ended(), Some(Ended::Failed(_))));
}

#[test]
fn pauses_double_while_connections_are_of_no_use() {
    let mut scene = Scene::with_messages(options(), 9, 3);
    let mut pauses = Vec::new();
    for connection in 2..=12 {
        let Some(Action::Connect(_, pause)) = scene.hear(lost()).last() else {
            panic!("no connection {connection}");
        };
        pauses.push(pause.as_millis());
        scene.connection = connection;
        scene.hear(FromBroker::Connected { ready: 3 });
    }
    assert_eq!(
        pauses[..8],
        [250, 500, 1000, 2000, 4000, 8000, 16000, 30000]
    );
    assert_eq!(pauses[10], 30000);
    scene.wait(6);
    let connect = Action::Connect(13, Time::ZERO);
    assert_eq!(scene.hear(lost()).last(), Some(&connect));
}

#[test]
fn a_close_that_is_not_answered_leaves_it_in_doubt() {
    let mut scene = Scene::with_messages(options(), 1, 1);
    scene.hear(FromBroker::Cancelled(1));
    assert_eq!(scene.hear(ack(1)), [Action::Ack(1), Action::Close]);
    let mut without_retry = scene.clone();
    without_retry.run.options.retry = Time::ZERO;
    without_retry.hear(lost());
    assert_eq!(without_retry.run.ended(), Some(failed("it broke")));
    assert_eq!(without_retry.run.tally().in_doubt, 1);
    let connect = Action::Connect(2, Time::ZERO);
    assert_eq!(scene.hear(lost()).last(), Some(&connect));
}

#[test]
fn the_first_signal_leaves_some_time_and_the_second_none() {
    let mut scene = Scene::with_messages(options(), 9, 2);
    assert_eq!(scene.tell(Event::Signal(SIGTERM)), [Action::Cancel(1)]);
    // What is delivered now is not published any more.
    assert!(scene.deliver(1, 3).is_empty());
    scene.hear(FromBroker::Cancelled(1));
    scene.hear(ack(2));
    assert!(scene.wait(4).is_empty());
    assert_eq!(scene.clone().wait(1), [Action::Abandon]);
    let mut finished = scene.clone();
    assert_eq!(
        finished.hear(ack(1)),
        [Action::Ack(2), Action::Return(3), Action::Close]
    );
    finished.hear(FromBroker::Closed);
    assert_eq!(finished.run.tally().moved, 2);
    assert_eq!(scene.tell(Event::Signal(SIGTERM)), [Action::Abandon]);
    for scene in [scene, finished] {
        assert_eq!(scene.run.ended(), Some(Ended::Interrupted(SIGTERM)));
    }
}

#[test]
fn a_rate_spaces_copies_evenly() {
    let slow = RunOptions {
        interval: Some(Time::from_secs(2)),
        ..options()
    };
    let mut scene = Scene::connected(slow, 3);
    assert_eq!(scene.actions, [Action::Subscribe(1, 1)]);
    scene.hear(FromBroker::Subscribed(1));
    assert_eq!(scene.deliver(1, 1), [Action::Publish(1)]);
    assert_eq!(scene.hear(ack(1)), [Action::Ack(1)]);
    assert!(scene.deliver(1, 2).is_empty());
    assert_eq!(scene.run.deadline(), Some(Time::from_secs(2)));
    assert_eq!(scene.wait(2), [Action::Publish(2)]);
}

#[test]
fn large_messages_make_the_prefetch_small() {
    let mut scene = Scene::connected(options(), 50);
    scene.hear(FromBroker::Subscribed(1));
    let large = Delivery {
        length: 4 << 20,
        ..delivery(1, 1)
    };
    assert_eq!(
        scene.hear(FromBroker::Delivered(large)),
        [Action::Publish(1), Action::Subscribe(2, 2)]
    );
}

#[test]
fn a_broker_that_is_blocked_is_sent_nothing() {
    let mut scene = Scene::with_messages(options(), 9, 1);
    scene.hear(FromBroker::Paused);
    assert!(scene.deliver(1, 2).is_empty());
    assert_eq!(scene.run.deadline(), None);
    assert_eq!(scene.hear(FromBroker::Resumed), [Action::Publish(2)]);
}

#[test]
fn a_broker_that_confirms_nothing_is_asked_for_the_target() {
    let mut scene = Scene::with_messages(options(), 9, 2);
    assert!(scene.wait(29).is_empty());
    let asked = [
        Action::Say(Notice::NoConfirms(SILENCE)),
        Action::AskForTarget,
    ];
    assert_eq!(scene.wait(1), asked);
    scene.tell(Event::Target(TargetIs::NotKnownToBeGone));
    assert_eq!(scene.wait(30), [Action::AskForTarget]);
    let gone = TargetIs::Gone("it is gone".to_owned());
    assert_eq!(scene.tell(Event::Target(gone)), [Action::Abandon]);
    assert_eq!(scene.run.ended(), Some(failed("it is gone")));
}
