//! What a run is given: the options, the broker's kind, the messages, and the trouble that may come.

use std::num::{NonZeroU16, NonZeroU64};
use std::time::Duration;

use amqp_tools::consume::run::{RunOptions, RunWork};
use amqp_tools::consume::{
    Acknowledgement, Batch, Coprocess, DeliveryLimit, FailureAction, FailurePolicy, Form, Rule,
};
use amqp_tools::status::Status;

use crate::choices::Choices;

/// The exit status of a run that handled no message, where one is asked for. No command ends with it.
pub(super) const UNUSED: Status = Status::exited(33);

/// The exit status of a tool that failed itself, where one is asked for. No command ends with it.
const TOOL_FAILED: Status = Status::exited(44);

/// What broker and network may take for anything, in milliseconds.
const DELAYS: [u64; 7] = [0, 1, 30, 200, 1500, 7000, 40_000];

/// The world of one run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) options: RunOptions,
    pub(super) broker: BrokerKind,
    pub(super) trouble: Trouble,
    pub(super) messages: usize,
    /// What happens from outside, and after how many events.
    pub(super) disturbances: Vec<(u64, Disturbance)>,
    pub(super) last: Last,
    /// Whether the run learns where the stream ends when it begins.
    pub(super) tells_end: bool,
}

/// What kind of a broker and queue it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct BrokerKind {
    pub(super) is_quorum: bool,
    /// Before RabbitMQ 4.3 a basic.nack counts as a failed delivery.
    pub(super) counts_nacks: bool,
    /// Where the queue drops what came back too often.
    pub(super) limit: Option<u64>,
    /// Whether the client can know that limit from the broker's version.
    pub(super) tells_limit: bool,
    pub(super) prefetch_of_channel: bool,
    /// A rejected message comes back to the queue.
    pub(super) dead_letters_home: bool,
    /// There is another worker, and the queue has a single active consumer.
    pub(super) has_rival: bool,
    /// The other worker holds as many messages as it may, and handles none of them.
    pub(super) rival_is_stuck: bool,
    /// Whether it can be found out whether deliveries are counted.
    pub(super) tells_counting: bool,
    /// How slowly the leader of a quorum queue takes commands: an index into the delays.
    pub(super) leader_lag: u64,
    /// How long the queue keeps a failed message before it delivers it again (RabbitMQ 4.3).
    pub(super) delayed_retry: Option<Duration>,
    /// Whether it does so with those, too, that came back without having failed.
    pub(super) delays_all: bool,
    /// Whether it is a stream, and how many messages it delivers beyond the credit that there is.
    pub(super) stream: Option<usize>,
}

/// How likely what trouble is, in percent, and how slow things are, as indices into the delays.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    pub(super) connect_fails: u64,
    pub(super) connect_is_refused: u64,
    pub(super) answer_never_comes: u64,
    pub(super) command_fails: u64,
    pub(super) command_never_ends: u64,
    pub(super) ignores_term: u64,
    pub(super) cannot_start: u64,
    pub(super) is_unfit: u64,
    pub(super) child_ends: u64,
    pub(super) answers_nonsense: u64,
    pub(super) answers_too_often: u64,
    pub(super) closes_answers: u64,
    pub(super) ignores_end_of_input: u64,
    pub(super) cannot_write: u64,
    pub(super) copy_fails: u64,
    pub(super) copy_never_answered: u64,
    pub(super) writes_nothing: u64,
    pub(super) caller_is_gone: u64,
    pub(super) says_empty: u64,
    pub(super) oversleeps: u64,
    pub(super) broker_delay: u64,
    pub(super) command_delay: u64,
    pub(super) copy_delay: u64,
}

/// Something that happens to the run from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    Publish,
    Signal(i32),
    Break,
    /// Nothing comes any more, and nobody says so until heartbeats are missed.
    HalfOpen,
    /// The broker takes the deliveries back and cancels the consumer (`x-consumer-timeout`).
    TakeBack,
    DeleteQueue,
    /// The queue that outputs go to.
    DeleteOutput,
    RivalLeaves,
}

/// How the broker is when nothing surprising happens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Healed,
    Silent,
    Gone,
}

impl Scenario {
    pub(super) fn drawn(choices: &mut Choices) -> Scenario {
        let is_large = choices.chance(4);
        let options = options(choices, is_large);
        let broker = BrokerKind::drawn(choices, &options);
        let trouble = Trouble::drawn(choices);
        let messages = if is_large {
            40 + choices.index(50)
        } else {
            choices.index(7)
        };
        let disturbances = disturbances(
            choices,
            broker.has_rival && !broker.rival_is_stuck,
            is_large,
        );
        let last = choices.one_of(&[Last::Healed, Last::Healed, Last::Silent, Last::Gone]);
        let mut scenario = Scenario {
            options,
            broker,
            trouble,
            messages,
            disturbances,
            last,
            tells_end: false,
        };
        if choices.chance(15) {
            scenario.make_stream(choices);
        }
        scenario
    }

    /// A stream instead of a queue, and options that fit it.
    fn make_stream(&mut self, choices: &mut Choices) {
        self.broker = BrokerKind {
            stream: Some(choices.one_of(&[0, 0, 2])),
            is_quorum: false,
            counts_nacks: false,
            limit: None,
            prefetch_of_channel: false,
            dead_letters_home: false,
            has_rival: false,
            rival_is_stuck: false,
            leader_lag: 0,
            delayed_retry: None,
            ..self.broker
        };
        self.tells_end = !choices.chance(25);
        let options = &mut self.options;
        options.is_stream = choices.below(2) == 1;
        options.acknowledgement = Acknowledgement::AfterCommand;
        options.queue_ends_with_consumer = false;
        let failure = &mut options.failure;
        let fits = |action: FailureAction| {
            use FailureAction::{Ack, Park, Stop};
            matches!(action, Ack | Park | Stop)
        };
        failure.action = failure.action.filter(|action| fits(*action));
        failure.rules.retain(|rule| fits(rule.action));
        failure.max_attempts = None;
    }

    pub(super) fn is_stream(&self) -> bool {
        self.broker.stream.is_some()
    }

    /// Whether nothing comes into the queue but what the run itself gives back.
    pub(super) fn is_static(&self) -> bool {
        let changes = |(_, disturbance): &(u64, Disturbance)| {
            matches!(disturbance, Disturbance::Publish | Disturbance::DeleteQueue)
        };
        !self.broker.dead_letters_home
            && !self.broker.has_rival
            && self.broker.delayed_retry.is_none()
            && !self.disturbances.iter().any(changes)
    }

    /// What the options say of a failed message: the action for its status.
    pub(super) fn action_for(&self, status: Status) -> FailureAction {
        self.options.failure.action_for(status)
    }

    /// Whether the time of the run is over.
    pub(super) fn is_time_over(&self, now: Duration) -> bool {
        self.options.max_time.is_some_and(|time| time <= now)
    }

    pub(super) fn retries(&self) -> u32 {
        match self.options.work {
            RunWork::Command { retries, .. } => retries,
            RunWork::Print => 0,
        }
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        match self.options.work {
            RunWork::Command { timeout, .. } => timeout,
            RunWork::Print => None,
        }
    }

    pub(super) fn coprocess(&self) -> Option<Coprocess> {
        match self.options.work {
            RunWork::Command {
                form: Form::Coprocess(coprocess),
                ..
            } => Some(coprocess),
            _ => None,
        }
    }

    pub(super) fn batch(&self) -> Option<Batch> {
        match self.options.work {
            RunWork::Command {
                form: Form::Batch(batch),
                ..
            } => Some(batch),
            _ => None,
        }
    }

    /// Whether a command gets several messages, so that each must fit.
    pub(super) fn frames(&self) -> bool {
        self.coprocess().is_some() || self.batch().is_some()
    }

    pub(super) fn jobs(&self) -> usize {
        match self.options.work {
            RunWork::Command { jobs, .. } => jobs,
            RunWork::Print => self.options.prefetch.into(),
        }
    }
}

/// One of the delays up to this index.
pub(super) fn delay(choices: &mut Choices, slowest: u64) -> Duration {
    let index = choices.below(slowest + 1);
    Duration::from_millis(DELAYS[usize::try_from(index).unwrap_or(0)])
}

fn options(choices: &mut Choices, is_large: bool) -> RunOptions {
    let second = Duration::from_secs(1);
    let work = if choices.chance(25) {
        RunWork::Print
    } else {
        RunWork::Command {
            jobs: if is_large { 40 } else { 1 + choices.index(3) },
            timeout: choices.one_of(&[None, None, Some(3 * second)]),
            retries: choices.one_of(&[0, 0, 0, 1, 2]),
            retry_delay: choices.one_of(&[second, Duration::ZERO]),
            form: form(choices, is_large),
        }
    };
    let limit = match choices.below(3) {
        0 => None,
        _ if is_large => Some(33 + choices.below(50)),
        _ => Some(choices.one_of(&[1, 2, 3, 4, 0])),
    };
    let prefetch = if is_large {
        choices.one_of(&[60, 40])
    } else {
        choices.one_of(&[1, 2, 3, 4])
    };
    let idle_timeout = choices
        .one_of(&[None, Some(0), Some(2)])
        .map(Duration::from_secs);
    let max_time = [
        None,
        None,
        None,
        None,
        Some(second),
        Some(5 * second),
        Some(100 * second),
    ];
    let paces = [None, None, None, Some(second / 5), Some(3 * second)];
    let limits = [
        DeliveryLimit::Default,
        DeliveryLimit::Off,
        DeliveryLimit::Of(NonZeroU64::MIN.saturating_add(2)),
    ];
    let acknowledgement = if choices.chance(10) {
        Acknowledgement::OnArrival
    } else {
        Acknowledgement::AfterCommand
    };
    let is_batch = matches!(
        work,
        RunWork::Command {
            form: Form::Batch(_),
            ..
        }
    );
    let may_publish = work != RunWork::Print && acknowledgement == Acknowledgement::AfterCommand;
    RunOptions {
        work,
        limit,
        is_stream: false,
        prefetch,
        acknowledgement,
        publishes_output: may_publish && choices.chance(30),
        replies: may_publish && !is_batch && choices.chance(20),
        failure: policy(choices, &limits),
        idle_timeout,
        max_time: choices.one_of(&max_time),
        status_if_unused: choices.one_of(&[Status::SUCCESS, UNUSED]),
        error_status: choices.one_of(&[Status::FAILURE, TOOL_FAILED]),
        pace: choices.one_of(&paces),
        grace: choices.one_of(&[None, Some(Duration::ZERO), Some(10 * second)]),
        retry: choices.one_of(&[Duration::ZERO, second, 3600 * second, 3600 * second]),
        queue_ends_with_consumer: choices.chance(10),
        certain_every: choices.one_of(&[1000, 1, 3, 10]),
        most_held: choices.one_of(&[1000, 1000, 2, 5]),
    }
}

fn form(choices: &mut Choices, is_large: bool) -> Form {
    match choices.below(10) {
        0..=2 => {}
        3..=5 => return Form::Batch(batch(choices, is_large)),
        _ => return Form::Single,
    }
    let unanswered = if is_large { 20 } else { 1 + choices.below(3) };
    let unanswered = u16::try_from(unanswered).unwrap_or(1);
    Form::Coprocess(Coprocess {
        unanswered: NonZeroU16::new(unanswered).unwrap_or(NonZeroU16::MIN),
        recycle: NonZeroU64::new(choices.one_of(&[0, 0, 1, 3])),
    })
}

fn batch(choices: &mut Choices, is_large: bool) -> Batch {
    let size = if is_large { 20 } else { 1 + choices.below(4) };
    let size = u16::try_from(size).unwrap_or(1);
    Batch {
        size: NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN),
        wait: Duration::from_secs(choices.one_of(&[0, 1, 10])),
        splits: choices.below(2) == 1,
    }
}

fn policy(choices: &mut Choices, limits: &[DeliveryLimit]) -> FailurePolicy {
    let rule = |status, action| Rule {
        statuses: vec![status..=status],
        action,
    };
    let (max_attempts, has_parking) = match choices.below(4) {
        0 | 1 => (None, choices.below(2) == 1),
        _ => (
            Some(NonZeroU64::MIN.saturating_add(choices.below(3))),
            choices.below(2) == 1,
        ),
    };
    let parks = if has_parking {
        FailureAction::Park
    } else {
        FailureAction::Requeue
    };
    let waits = FailureAction::Retry(Duration::from_secs(choices.one_of(&[1, 7, 200])));
    FailurePolicy {
        action: Some(choices.one_of(&[
            FailureAction::Requeue,
            FailureAction::Requeue,
            FailureAction::Requeue,
            FailureAction::Reject,
            FailureAction::Ack,
            FailureAction::Stop,
            waits,
            waits,
            parks,
        ])),
        rules: if choices.below(2) == 0 {
            Vec::new()
        } else {
            vec![
                rule(65, FailureAction::Reject),
                rule(66, choices.one_of(&[FailureAction::Ack, waits])),
                rule(
                    1,
                    choices.one_of(&[FailureAction::Requeue, FailureAction::Stop, parks]),
                ),
            ]
        },
        max_attempts,
        park: has_parking.then(|| "parking".to_owned()),
        halt: choices
            .one_of(&[None, None, None, None, Some(1), Some(2), Some(3)])
            .and_then(NonZeroU64::new),
        delivery_limit: choices.one_of(limits),
    }
}

fn disturbances(
    choices: &mut Choices,
    rival_leaves: bool,
    is_large: bool,
) -> Vec<(u64, Disturbance)> {
    let kinds = [
        Disturbance::Publish,
        Disturbance::Signal(15),
        Disturbance::Break,
        Disturbance::Signal(2),
        Disturbance::Break,
        Disturbance::Break,
        Disturbance::TakeBack,
        Disturbance::DeleteQueue,
        Disturbance::HalfOpen,
        Disturbance::DeleteOutput,
    ];
    // Swarm: some kinds do not come in this run at all.
    let is_on: Vec<bool> = kinds.iter().map(|_| choices.below(2) == 1).collect();
    let kinds: Vec<Disturbance> = kinds
        .into_iter()
        .zip(is_on)
        .filter_map(|(kind, is_on)| is_on.then_some(kind))
        .collect();
    let mut all = Vec::new();
    if !kinds.is_empty() {
        for _ in 0..choices.below(5) {
            let kind = choices.one_of(&kinds);
            let latest = if is_large { 160 } else { 40 };
            all.push((choices.below(latest), kind));
        }
    }
    if rival_leaves {
        all.push((choices.below(80), Disturbance::RivalLeaves));
    }
    all.sort_by_key(|(after, _)| *after);
    all
}

impl BrokerKind {
    fn drawn(choices: &mut Choices, options: &RunOptions) -> BrokerKind {
        let is_quorum = choices.below(2) == 1 && !options.queue_ends_with_consumer;
        let limit = if is_quorum {
            choices.one_of(&[None, Some(20), Some(1), Some(2), Some(3), Some(4)])
        } else {
            None
        };
        let is_rabbitmq = options.queue_ends_with_consumer || !choices.chance(7);
        let counts_nacks = is_quorum && choices.below(2) == 1;
        let may_delay = is_quorum && !counts_nacks;
        let delays = [1, 7, 200].map(Duration::from_secs);
        BrokerKind {
            is_quorum,
            counts_nacks,
            limit,
            tells_limit: choices.below(4) < 3,
            prefetch_of_channel: !is_rabbitmq && !is_quorum,
            dead_letters_home: choices.chance(25),
            has_rival: !options.queue_ends_with_consumer && choices.chance(16),
            rival_is_stuck: choices.below(2) == 1,
            tells_counting: !choices.chance(25),
            leader_lag: if is_quorum { choices.below(6) } else { 0 },
            delayed_retry: (may_delay && choices.chance(25)).then(|| choices.one_of(&delays)),
            delays_all: choices.below(2) == 1,
            stream: None,
        }
    }
}

impl Trouble {
    fn drawn(choices: &mut Choices) -> Trouble {
        // Swarm: each kind is off in two thirds of the runs.
        let mut likely = |percent: u64| {
            if choices.below(3) == 2 { percent } else { 0 }
        };
        let mut trouble = Trouble {
            connect_fails: likely(30),
            connect_is_refused: likely(10),
            answer_never_comes: likely(10),
            command_fails: likely(50),
            command_never_ends: likely(20),
            ignores_term: likely(50),
            cannot_start: likely(10),
            is_unfit: likely(20),
            child_ends: likely(30),
            answers_nonsense: likely(10),
            answers_too_often: likely(10),
            closes_answers: likely(10),
            ignores_end_of_input: likely(20),
            cannot_write: likely(10),
            copy_fails: likely(40),
            copy_never_answered: likely(20),
            writes_nothing: likely(40),
            caller_is_gone: likely(40),
            says_empty: likely(60),
            oversleeps: likely(10),
            ..Trouble::default()
        };
        trouble.broker_delay = choices.below(7);
        trouble.command_delay = choices.below(7);
        trouble.copy_delay = choices.below(7);
        trouble
    }
}
