//! The core, event by event: faults that were found, and the notices.

use std::num::NonZeroUsize;

use super::*;
use crate::broker::{Confirmation, Numbers};
use crate::reason::ConnectionFailure;

const SIGTERM: i32 = 15;

fn options(max_in_flight: usize) -> RunOptions {
    RunOptions {
        max_in_flight: NonZeroUsize::new(max_in_flight),
        has_checkpoint: false,
        retry: Duration::from_secs(60),
        pace: None,
    }
}

/// A run, and what it said last.
#[derive(Clone)]
struct Scene {
    run: Run,
    now: Duration,
    actions: Vec<Action>,
}

impl Scene {
    /// The connection is open.
    fn connected(options: RunOptions) -> Scene {
        let mut actions = Vec::new();
        let run = Run::begin(options, &mut actions);
        assert_eq!(actions, [Action::Connect(1, Duration::ZERO)]);
        let mut scene = Scene {
            run,
            now: Duration::ZERO,
            actions: Vec::new(),
        };
        scene.hear(1, FromBroker::Connected);
        scene
    }

    /// The same, with so many messages in flight. Their fingerprints are their numbers.
    fn with_messages(options: RunOptions, count: u64) -> Scene {
        let mut scene = Scene::connected(options);
        for id in 1..=count {
            assert_eq!(scene.read(id), [Action::Publish(id)]);
        }
        scene
    }

    fn tell(&mut self, event: Event) -> &[Action] {
        self.actions.clear();
        self.run.on(event, self.now, &mut self.actions);
        &self.actions
    }

    fn hear(&mut self, connection: ConnectionId, event: FromBroker) -> &[Action] {
        self.tell(Event::Broker(connection, event))
    }

    fn read(&mut self, fingerprint: u64) -> &[Action] {
        self.tell(Event::Record(RecordInfo {
            length: 1,
            input_length: 2,
            fingerprint: Some(fingerprint),
        }))
    }

    fn wait(&mut self, seconds: u64) -> &[Action] {
        self.now += Duration::from_secs(seconds);
        self.tell(Event::Tick)
    }
}

fn ack(number: u64) -> FromBroker {
    FromBroker::Confirmed(Confirmation::Acked(Numbers::One(number)))
}

fn nack(number: u64) -> FromBroker {
    FromBroker::Confirmed(Confirmation::Nacked(Numbers::One(number)))
}

fn returned(fingerprint: u64) -> FromBroker {
    let reason = "no queue".to_owned();
    FromBroker::Returned {
        fingerprint,
        reason,
    }
}

fn lost() -> FromBroker {
    FromBroker::Lost(ConnectionFailure {
        reason: "it broke".to_owned(),
        is_transient: true,
    })
}

fn failed(reason: &str) -> Ended {
    Ended::Failed(reason.to_owned())
}

#[test]
fn all_is_confirmed_then_it_closes() {
    let mut scene = Scene::with_messages(options(9), 2);
    assert!(scene.tell(Event::InputEnded).is_empty());
    assert!(scene.hear(1, ack(2)).is_empty());
    assert_eq!(scene.hear(1, ack(1)), [Action::Close]);
    assert_eq!(scene.run.ended(), None);
    scene.hear(1, FromBroker::Closed);
    assert_eq!(scene.run.ended(), Some(Ended::Complete));
}

#[test]
fn a_refusal_ends_the_run_also_if_the_connection_breaks_with_it() {
    for refusal in [nack(2), returned(2)] {
        let mut scene = Scene::with_messages(options(9), 3);
        scene.hear(1, refusal);
        assert!(scene.hear(1, lost()).is_empty());
        assert!(matches!(scene.run.ended(), Some(Ended::Failed(_))));
        let tally = scene.run.tally();
        assert_eq!(tally.returned + tally.rejected, 1);
        assert_eq!(
            (scene.run.first_unconfirmed(), scene.run.in_doubt()),
            (1, 2)
        );
    }
}

#[test]
fn what_is_in_doubt_is_sent_again_with_new_numbers() {
    let mut scene = Scene::with_messages(options(9), 3);
    scene.hear(1, ack(2));
    let connect = Action::Connect(2, Duration::ZERO);
    assert_eq!(scene.hear(1, lost()).last(), Some(&connect));
    // Late, and from the connection that is gone.
    scene.hear(1, ack(1));
    assert_eq!(scene.run.first_unconfirmed(), 1);
    let again = [Action::Publish(1), Action::Publish(3)];
    assert_eq!(scene.hear(2, FromBroker::Connected), again);
    scene.hear(2, ack(2));
    scene.hear(2, ack(1));
    assert_eq!(scene.run.first_unconfirmed(), 4);
    assert_eq!(scene.run.tally().published, 3);
}

#[test]
fn the_reason_may_come_after_the_rejection() {
    let mut scene = Scene::with_messages(options(9), 2);
    scene.hear(1, nack(1));
    let mut late = scene.clone();
    scene.hear(1, returned(1));
    assert_eq!(scene.hear(1, ack(2)), [Action::Close]);
    assert_eq!(late.hear(1, ack(2)), [Action::CatchUp]);
    late.hear(1, returned(1));
    assert_eq!(late.hear(1, FromBroker::CaughtUp), [Action::Close]);
    for scene in [&mut scene, &mut late] {
        scene.hear(1, FromBroker::Closed);
        assert_eq!(scene.run.ended(), Some(failed("no queue")));
        let tally = scene.run.tally();
        assert_eq!((tally.confirmed, tally.returned, tally.rejected), (1, 1, 0));
    }
}

#[test]
fn what_is_rejected_need_not_come_back() {
    let mut scene = Scene::with_messages(options(9), 1);
    assert_eq!(scene.hear(1, nack(1)), [Action::CatchUp]);
    let mut deaf = scene.clone();
    assert_eq!(scene.hear(1, FromBroker::CaughtUp), [Action::Close]);
    scene.hear(1, FromBroker::Closed);
    deaf.hear(1, lost());
    for scene in [scene, deaf] {
        assert!(matches!(
            scene.run.ended(),
            Some(Ended::Failed(reason)) if reason.contains("the broker rejected a message")
        ));
    }
}

#[test]
fn what_cannot_come_back_is_not_asked_for() {
    let mut scene = Scene::connected(options(9));
    let record = RecordInfo {
        length: 1,
        input_length: 2,
        fingerprint: None,
    };
    scene.tell(Event::Record(record));
    assert_eq!(scene.hear(1, nack(1)), [Action::Close]);
}

#[test]
fn connections_that_break_in_vain_are_tried_for_so_long() {
    let mut scene = Scene::with_messages(options(9), 1);
    for connection in 1..=3 {
        let actions = scene.hear(connection, lost());
        let pause = Duration::from_millis(250);
        assert_eq!(
            actions.last(),
            Some(&Action::Connect(connection + 1, pause))
        );
        scene.hear(connection + 1, FromBroker::Connected);
    }
    scene.now += Duration::from_secs(4);
    scene.hear(4, lost());
    scene.now += Duration::from_secs(57);
    scene.hear(5, FromBroker::Connected);
    scene.hear(5, lost());
    assert_eq!(scene.run.ended(), Some(failed("it broke")));
}

#[test]
fn a_broker_that_confirms_nothing_is_asked_for_the_queue() {
    let mut scene = Scene::with_messages(options(9), 2);
    assert!(scene.wait(29).is_empty());
    let asked = [
        Action::Say(Notice::NoConfirms(SILENCE)),
        Action::AskForQueue(1),
    ];
    assert_eq!(scene.wait(1), asked);
    scene.tell(Event::QueueChecked(1, None));
    assert_eq!(scene.run.ended(), None);
    assert_eq!(scene.wait(30), [Action::AskForQueue(1)]);
    let gone = Some("it is gone".to_owned());
    assert_eq!(scene.tell(Event::QueueChecked(1, gone)), [Action::Abandon]);
    assert_eq!(scene.run.ended(), Some(failed("it is gone")));
}

#[test]
fn a_broker_that_is_blocked_confirms_nothing_and_is_sent_nothing() {
    let mut scene = Scene::with_messages(options(9), 2);
    scene.hear(1, FromBroker::Paused);
    assert!(!scene.run.wants_record());
    assert_eq!(scene.run.deadline(), None);
    assert!(scene.wait(3600).is_empty());
    scene.hear(1, FromBroker::Resumed);
    assert!(scene.run.wants_record());
    assert!(scene.wait(29).is_empty());
}

#[test]
fn the_first_signal_leaves_some_time_and_the_second_none() {
    let mut scene = Scene::with_messages(options(9), 2);
    assert!(scene.tell(Event::Signal(SIGTERM)).is_empty());
    assert!(!scene.run.wants_record());
    scene.hear(1, ack(1));
    assert!(scene.wait(4).is_empty());
    assert_eq!(scene.run.deadline(), Some(Duration::from_secs(5)));
    assert_eq!(scene.clone().wait(1), [Action::Abandon]);
    assert_eq!(scene.tell(Event::Signal(SIGTERM)), [Action::Abandon]);
    assert_eq!(scene.run.ended(), Some(Ended::Interrupted(SIGTERM)));
}

#[test]
fn a_checkpoint_is_told_each_half_window_and_when_nothing_is_at_hand() {
    let options = RunOptions {
        has_checkpoint: true,
        ..options(4)
    };
    let mut scene = Scene::with_messages(options, 2);
    assert!(!scene.run.wants_record());
    assert!(scene.hear(1, ack(1)).is_empty());
    assert_eq!(scene.hear(1, ack(2)), [Action::SaveCheckpoint(2)]);
    scene.read(3);
    scene.hear(1, ack(3));
    assert_eq!(scene.tell(Event::NoRecord), [Action::SaveCheckpoint(3)]);
    assert!(scene.tell(Event::NoRecord).is_empty());
    scene.tell(Event::InputEnded);
    assert_eq!(scene.hear(1, FromBroker::Closed), [Action::SyncCheckpoint]);
    scene.tell(Event::CannotSaveCheckpoint("the disk is full".to_owned()));
    assert_eq!(scene.run.ended(), Some(failed("the disk is full")));
}

/// Found in the simulation: a signal made a success of it.
#[test]
fn a_message_that_comes_back_after_a_signal_is_no_success() {
    let without_confirms = RunOptions {
        max_in_flight: None,
        ..options(1)
    };
    let mut scene = Scene::with_messages(without_confirms, 1);
    assert_eq!(scene.tell(Event::InputEnded), [Action::CatchUp]);
    scene.tell(Event::Signal(SIGTERM));
    let mut undisturbed = scene.clone();
    scene.hear(1, returned(1));
    for scene in [&mut scene, &mut undisturbed] {
        assert_eq!(scene.hear(1, FromBroker::CaughtUp), [Action::Close]);
        scene.hear(1, FromBroker::Closed);
    }
    assert_eq!(scene.run.ended(), Some(Ended::Interrupted(SIGTERM)));
    assert_eq!(undisturbed.run.ended(), Some(Ended::Complete));
}

#[test]
fn messages_are_sent_evenly_and_the_end_is_not_waited_for() {
    let pace = Duration::from_millis(100);
    let mut scene = Scene::connected(RunOptions {
        pace: Some(pace),
        ..options(10)
    });
    assert_eq!(scene.read(1), [Action::Publish(1)]);
    assert_eq!(scene.read(2), []);
    assert!(!scene.run.wants_record());
    assert_eq!(scene.run.deadline(), Some(pace));
    // A little late: the next is due as if it had not been.
    scene.now = pace + Duration::from_millis(1);
    assert_eq!(scene.tell(Event::Tick), [Action::Publish(2)]);
    assert_eq!(scene.read(3), []);
    assert_eq!(scene.run.deadline(), Some(2 * pace));
    // Much later: what was missed is not made up for.
    scene.now = 10 * pace;
    assert_eq!(scene.tell(Event::Tick), [Action::Publish(3)]);
    assert_eq!(scene.read(4), []);
    assert_eq!(
        scene.run.deadline(),
        Some(10 * pace + Duration::from_millis(99))
    );
    scene.now = 11 * pace;
    assert_eq!(scene.tell(Event::Tick), [Action::Publish(4)]);
    scene.hear(
        1,
        FromBroker::Confirmed(Confirmation::Acked(Numbers::UpTo(4))),
    );
    assert_eq!(scene.tell(Event::InputEnded), [Action::Close]);
}
