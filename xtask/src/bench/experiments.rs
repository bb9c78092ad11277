//! What is measured: a table. A new figure is a new entry.
//!
//! A command is split at blanks, without a shell. In it, `$URL` and `$ADDRESS` are the broker's, `$N` is the number of
//! messages, `$LINES` a file with as many lines; `< FILE` is standard input. `$OURS`, `$PIKA` and `$BARE` are programs.

/// The groups of the page, and what its readers must know to judge their figures.
pub(crate) const GROUPS: [(Group, &str, &str); 4] = [
    (
        Group::OneShot,
        "One shot",
        "From the start of a process to its end. The limit is a static program that writes encoded frames in four round trips. \
         Only the reference and `--no-confirm` do not wait for a confirm.",
    ),
    (
        Group::Publishing,
        "Bulk publishing",
        "The clock stops when the queue holds every message, whoever published them. The limit writes frames, encoded \
         beforehand, to a bare socket: with confirms mandatory messages, at most 1000 of them unconfirmed, which is what \
         amqp-publish guarantees; without confirms all at once, and not mandatory, like the reference.",
    ),
    (
        Group::Worker,
        "Worker",
        "A command for each message of a full queue. The limit is a loop that starts the command, writes ten bytes to it and \
         waits for it, without any broker; so is `xargs`, which passes a line as an argument and writes nothing.",
    ),
    (
        Group::Growth,
        "Growth and memory",
        "What becomes of time and peak memory (of the process and of the commands that it starts, the largest of them).",
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    OneShot,
    Publishing,
    Worker,
    Growth,
}

/// Ways to do the same work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Experiment {
    pub(crate) group: Group,
    pub(crate) title: &'static str,
    pub(crate) rounds: usize,
    pub(crate) messages: u64,
    /// The length of a body.
    pub(crate) bytes: usize,
    pub(crate) work: Work,
    pub(crate) entries: &'static [Entry],
}

/// What a run finds in the queue, and leaves there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// The queue is empty, and stays so.
    Nothing,
    /// The queue is empty at first; the clock stops when it holds all messages.
    Fill,
    /// The same, but the clock stops when the process ends.
    Publish,
    /// The queue holds all messages at first, and none in the end.
    Drain,
}

/// A name, a command, and the name of the entry that is its limit.
pub(crate) type Entry = (&'static str, &'static str, &'static str);

pub(crate) const OURS: &str = "amqp-tools";
pub(crate) const REFERENCE: &str = "reference";
const PIKA: &str = "pika";
const LIMIT: &str = "limit";

const ONE_SHOT: Experiment = Experiment {
    group: Group::OneShot,
    title: "",
    rounds: 41,
    messages: 1,
    bytes: 10,
    work: Work::Drain,
    entries: &[],
};

#[rustfmt::skip] // a table reads by lines
const BULK: Experiment = Experiment {
    group: Group::Publishing,
    rounds: 5,
    work: Work::Fill,
    entries: &[
        ("amqp-tools, confirmed", "$OURS/amqp-publish -u $URL -r bench -p -l < $LINES", "limit, confirmed"),
        ("amqp-tools --no-confirm", "$OURS/amqp-publish -u $URL -r bench -p -l --no-confirm < $LINES", "limit, no confirms"),
        (REFERENCE, "/usr/bin/amqp-publish -u $URL -r bench -p -l < $LINES", "limit, no confirms"),
        (PIKA, "$PIKA lines $URL bench < $LINES", "limit, no confirms"),
        ("limit, confirmed", "$BARE $ADDRESS publish bench $N $BYTES confirm persistent", ""),
        ("limit, no confirms", "$BARE $ADDRESS publish bench $N $BYTES persistent", ""),
    ],
    ..ONE_SHOT
};

const WORKER: Experiment = Experiment {
    group: Group::Worker,
    rounds: 5,
    messages: 1000,
    ..ONE_SHOT
};

const GROWTH: Experiment = Experiment {
    group: Group::Growth,
    rounds: 3,
    ..ONE_SHOT
};

const GROWTH_OF_PUBLISHING: Experiment = Experiment {
    work: Work::Fill,
    entries: &[
        (OURS, "$OURS/amqp-publish -u $URL -r bench -l < $LINES", ""),
        (
            REFERENCE,
            "/usr/bin/amqp-publish -u $URL -r bench -l < $LINES",
            "",
        ),
    ],
    ..GROWTH
};

#[rustfmt::skip]
const GROWTH_OF_CONSUMING: Experiment = Experiment {
    entries: &[
        (OURS, "$OURS/amqp-consume -u $URL -q bench -c $N cat", ""),
        (REFERENCE, "/usr/bin/amqp-consume -u $URL -q bench -c $N -p 1 -- cat", ""),
    ],
    ..GROWTH
};

const LARGE: Experiment = Experiment {
    bytes: 100 << 20,
    ..GROWTH
};

#[rustfmt::skip]
pub(crate) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        title: "declare a queue that exists",
        work: Work::Nothing,
        entries: &[
            (OURS, "$OURS/amqp-declare-queue -u $URL -d -q bench", LIMIT),
            (REFERENCE, "/usr/bin/amqp-declare-queue -u $URL -d -q bench", LIMIT),
            (PIKA, "$PIKA declare $URL bench", LIMIT),
            (LIMIT, "$BARE $ADDRESS declare bench", ""),
        ],
        ..ONE_SHOT
    },
    Experiment {
        title: "publish a message",
        work: Work::Publish,
        entries: &[
            (OURS, "$OURS/amqp-publish -u $URL -r bench -b 123456789", LIMIT),
            ("amqp-tools --no-confirm", "$OURS/amqp-publish -u $URL -r bench -b 123456789 --no-confirm", LIMIT),
            (REFERENCE, "/usr/bin/amqp-publish -u $URL -r bench -b 123456789", LIMIT),
            (PIKA, "$PIKA publish $URL bench 123456789", LIMIT),
            (LIMIT, "$BARE $ADDRESS publish bench 1 9 confirm", ""),
        ],
        ..ONE_SHOT
    },
    Experiment {
        title: "get a message",
        entries: &[
            (OURS, "$OURS/amqp-get -u $URL -q bench", LIMIT),
            (REFERENCE, "/usr/bin/amqp-get -u $URL -q bench", LIMIT),
            (PIKA, "$PIKA get $URL bench", LIMIT),
            (LIMIT, "$BARE $ADDRESS get bench", ""),
        ],
        ..ONE_SHOT
    },
    Experiment {
        title: "100 000 persistent lines of 10 bytes",
        messages: 100_000,
        ..BULK
    },
    Experiment {
        title: "30 000 persistent lines of 1 KiB",
        messages: 30_000,
        bytes: 1024,
        ..BULK
    },
    Experiment {
        title: "1000 messages, `cat`, one at a time",
        entries: &[
            (OURS, "$OURS/amqp-consume -u $URL -q bench -c $N cat", LIMIT),
            (REFERENCE, "/usr/bin/amqp-consume -u $URL -q bench -c $N -p 1 -- cat", LIMIT),
            (PIKA, "$PIKA consume $URL bench $N cat", LIMIT),
            (LIMIT, "$BARE spawn $N 1 cat", ""),
        ],
        ..WORKER
    },
    Experiment {
        title: "1000 messages, `true`, two at a time",
        entries: &[
            ("amqp-tools -j 2", "$OURS/amqp-consume -u $URL -q bench -c $N -j 2 true", LIMIT),
            (LIMIT, "$BARE spawn $N 2 true", ""),
            ("xargs -P 2", "xargs -P 2 -n 1 true < $LINES", LIMIT),
        ],
        ..WORKER
    },
    Experiment {
        title: "50 000 messages without a process for each; the limit is `--json`",
        messages: 50_000,
        entries: &[
            ("amqp-tools --coprocess", "$OURS/amqp-consume -u $URL -q bench -c $N -p 100 --coprocess --framing lines $BARE answer", "amqp-tools --json"),
            ("amqp-tools --batch 100, `cat`", "$OURS/amqp-consume -u $URL -q bench -c $N -p 200 --batch 100 --framing lines cat", "amqp-tools --json"),
            ("amqp-tools --json", "$OURS/amqp-consume -u $URL -q bench -c $N --json", ""),
            (PIKA, "$PIKA read $URL bench $N", "amqp-tools --json"),
        ],
        ..WORKER
    },
    Experiment {
        title: "publish 10 000 lines",
        messages: 10_000,
        ..GROWTH_OF_PUBLISHING
    },
    Experiment {
        title: "publish 1 000 000 lines",
        messages: 1_000_000,
        ..GROWTH_OF_PUBLISHING
    },
    Experiment {
        title: "consume 100 messages",
        messages: 100,
        ..GROWTH_OF_CONSUMING
    },
    Experiment {
        title: "consume 10 000 messages",
        messages: 10_000,
        ..GROWTH_OF_CONSUMING
    },
    Experiment {
        title: "publish a body of 100 MiB",
        work: Work::Fill,
        entries: &[
            (OURS, "$OURS/amqp-publish -u $URL -r bench < $LINES", ""),
            (REFERENCE, "/usr/bin/amqp-publish -u $URL -r bench < $LINES", ""),
        ],
        ..LARGE
    },
    Experiment {
        title: "get a body of 100 MiB",
        entries: &[
            (OURS, "$OURS/amqp-get -u $URL -q bench", ""),
            (REFERENCE, "/usr/bin/amqp-get -u $URL -q bench", ""),
        ],
        ..LARGE
    },
];
