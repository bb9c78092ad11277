//! Draws one line. The same number draws the same line.
//!
//! Not drawn, since they are differences: a queue that does not exist as the target of amqp-publish, `-b` with `-l`, a header without a
//! colon, operands, COMMAND's own options without `--`, a command that fails, `-e` without `-r` for amqp-consume, several URLs, the
//! options of TLS, a port or an interval above 65535, help.

/// What the lines are drawn with (`SplitMix64`).
pub(super) struct Dice(u64);

/// How often a value is what people give, and how often it is odd, in percent.
const ODD: usize = 6;

impl Dice {
    pub(super) fn new(number: u64) -> Self {
        Self(number)
    }

    /// Less than `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// A value that people give, or an odd one.
    fn value<'a>(&mut self, usual: &[&'a str], odd: &[&'a str]) -> &'a str {
        let is_odd = self.chance(ODD);
        self.one_of(if is_odd { odd } else { usual })
    }

    /// What the line reads.
    pub(super) fn stdin(&mut self) -> &'static str {
        self.one_of(&[
            "1\n2 \n",
            "1\n2 \n",
            "",
            "\n",
            "no newline",
            "a\r\n\r\nb",
            "ü\n\tx\n",
        ])
    }

    /// A tool with its options in any order, each spelled in one of its ways.
    pub(super) fn line(&mut self) -> String {
        let tool = self.one_of(&["publish", "consume", "get", "declare-queue", "delete-queue"]);
        let mut options = self.connection();
        options.extend(match tool {
            "publish" => self.publishing(),
            "consume" => self.consuming(),
            "declare-queue" => self.declaring(),
            "delete-queue" => self.deleting(),
            _ => self.queue(),
        });
        if self.chance(8) {
            options.push(self.misspelled());
        }
        self.cluster(&mut options);
        let mut line = format!("amqp-{tool}");
        while !options.is_empty() {
            let next = self.below(options.len());
            line.push(' ');
            line.push_str(&options.swap_remove(next));
        }
        match tool {
            "consume" => {
                line + self.one_of(&[" -- cat", " cat", " -- sh -c 'cat; echo'", " env cat", ""])
            }
            _ if self.chance(5) => line + " --",
            _ => line,
        }
    }

    fn connection(&mut self) -> Vec<String> {
        let mut options = if self.chance(50) {
            self.by_url()
        } else {
            self.by_server()
        };
        if self.chance(20) {
            let heartbeat = self.value(&["0", "5", "60", ""], NUMBERS);
            options.push(self.spelled(None, "heartbeat", heartbeat));
        }
        options
    }

    fn by_url(&mut self) -> Vec<String> {
        let mut options = Vec::new();
        let url = self.value(&["{url}", "{url}", "amqp://{host}:{port}/%2f"], URLS);
        options.push(self.spelled(Some('u'), "url", url));
        if self.chance(5) {
            options.push(self.spelled(None, "vhost", "/"));
        }
        options
    }

    fn by_server(&mut self) -> Vec<String> {
        let mut options = match self.below(10) {
            0 => vec![self.spelled(Some('s'), "server", "{host}:{port}")],
            1 => vec![self.spelled(None, "port", "{port}")],
            _ => {
                let server = self.value(&["{host}", "localhost"], SERVERS);
                let port = self.value(&["{port}"], PORTS);
                vec![
                    self.spelled(Some('s'), "server", server),
                    self.spelled(None, "port", port),
                ]
            }
        };
        if self.chance(30) {
            let vhost = self.value(&["/", "/", "nowhere"], &["", "%2f", " ", "//"]);
            options.push(self.spelled(None, "vhost", vhost));
        }
        if self.chance(30) {
            let password = self.value(&["guest", "guest", "wrong"], &["", " guest", "gu:est"]);
            let user = self.value(&["guest"], &["", "nobody", "Guest"]);
            options.push(self.spelled(None, "username", user));
            options.push(self.spelled(None, "password", password));
        } else if self.chance(15) {
            let file = self.value(&["auth"], &["missing", "", "."]);
            options.push(self.spelled(None, "authfile", file));
        } else if self.chance(20) {
            let only = self.one_of(&["username", "password"]);
            options.push(self.spelled(None, only, "guest"));
        }
        options
    }

    /// `--queue`, mostly of the queue that there is.
    fn queue(&mut self) -> Vec<String> {
        let count = self.value(&["1"], &["0", "2", "3"]).parse().unwrap();
        let mut options = Vec::new();
        for _ in 0..count {
            let name = self.value(&["{queue}", "{queue}", "{queue}", "{missing}"], QUEUES);
            options.push(self.spelled(Some('q'), "queue", name));
        }
        options
    }

    fn declaring(&mut self) -> Vec<String> {
        let mut options = self.queue();
        if self.chance(60) {
            options.push(self.one_of(&["-d", "--durable"]).to_owned());
        }
        options
    }

    fn deleting(&mut self) -> Vec<String> {
        let mut options = self.queue();
        for flags in [&["-e", "--if-empty"][..], &["--if-unused"]] {
            if self.chance(20) {
                options.push(self.one_of(flags).to_owned());
            }
        }
        options
    }

    fn publishing(&mut self) -> Vec<String> {
        let mut options = Vec::new();
        if self.chance(25) {
            let exchange = self.value(
                &["amq.direct", "amq.topic"],
                &["", "amq.fanout", "{missing}"],
            );
            options.push(self.spelled(Some('e'), "exchange", exchange));
        }
        if !self.chance(8) {
            options.push(self.spelled(Some('r'), "routing-key", "{queue}"));
        } else if options
            .iter()
            .any(|option| option.ends_with("''") || option.ends_with('='))
        {
            options.clear(); // to no queue of the default exchange
        }
        if self.chance(40) {
            options.push(self.one_of(&["-p", "--persistent"]).to_owned());
        }
        match self.below(10) {
            0..4 => {
                let bodies = ["body", "", "two words", "ü", "=x", "-x", "--", "-", "a=b"];
                let body = self.one_of(&bodies);
                options.push(self.spelled(Some('b'), "body", body));
            }
            4..7 => options.push(self.one_of(&["-l", "--line-buffered"]).to_owned()),
            _ => {}
        }
        options.extend(self.properties());
        options
    }

    fn properties(&mut self) -> Vec<String> {
        let properties = [
            ('C', "content-type", &["text/plain", "", "=", "-"][..]),
            ('E', "content-encoding", &["gzip", "", "ü"]),
            ('t', "reply-to", &["answers", "", "a b"]),
            ('H', "header", &["key: value", "key:value", "key:", "k:=v"]),
            (
                'H',
                "header",
                &["other:  \tvalue", "other: a: b", "other : x"],
            ),
            ('H', "header", &["empty:", ": no name", "ü: ü"]),
        ];
        let mut options = Vec::new();
        for (short, long, values) in properties {
            if self.chance(20) {
                let value = self.one_of(values);
                options.push(self.spelled(Some(short), long, value));
            }
        }
        options
    }

    /// Of as many messages as there are: a consumer without a limit does not end.
    fn consuming(&mut self) -> Vec<String> {
        let is_declaring = self.chance(25);
        let mut options = if is_declaring {
            self.own_queue()
        } else {
            self.queue_to_read()
        };
        let none = ["0", "0", "", "00", "0x0"];
        let some = ["1", "1", "2", "0", "01", "0x1", "0x2"];
        let wrong = ["x", "1x", "1.0", "99999999999"];
        let count = self.value(if is_declaring { &none } else { &some }, &wrong);
        options.push(self.spelled(Some('c'), "count", count));
        // The reference loses what was delivered beyond the count.
        if count == "2" && self.chance(20) {
            options.push(self.one_of(&["-A", "--no-ack"]).to_owned());
        }
        if self.chance(30) {
            let prefetch = self.value(&["1", "2", "5", "0x5"], NUMBERS);
            options.push(self.spelled(Some('p'), "prefetch-count", prefetch));
        }
        options
    }

    fn queue_to_read(&mut self) -> Vec<String> {
        let name = self.value(
            &["{queue}", "{queue}", "{queue}", "{missing}"],
            &["amq.none", " "],
        );
        vec![self.spelled(Some('q'), "queue", name)]
    }

    /// A queue that amqp-consume declares, and what binds it. No message of it is waited for.
    fn own_queue(&mut self) -> Vec<String> {
        let mut options = Vec::new();
        if self.chance(60) {
            let name = self.value(&["{own}", "{own}", "{queue}"], &["", "amq.own"]);
            options.push(self.spelled(Some('q'), "queue", name));
        }
        if self.chance(50) {
            let exchange = self.value(&["amq.direct", "amq.topic", "{missing}"], &["amq.fanout"]);
            options.push(self.spelled(Some('e'), "exchange", exchange));
            let keys = self.value(
                &["key", "a,b", "{queue}.#"],
                &["a,,b", ",", ",a", "a,", "a b"],
            );
            options.push(self.spelled(Some('r'), "routing-key", keys));
        } else if self.chance(10) {
            options.push(self.spelled(Some('r'), "routing-key", "key"));
        }
        if self.chance(60) {
            options.push(
                self.one_of(&["-x", "--exclusive", "-d", "--declare"])
                    .to_owned(),
            );
        }
        options
    }
}

/// As numbers, to popt.
const NUMBERS: &[&str] = &[
    "", "0", "-1", "0x10", "010", "+5", " 5", "5 ", "x", "1.5", "1e3", "08",
];

const PORTS: &[&str] = &["", "0", "1", "-1", "x", "+1", "1x"];

const SERVERS: &[&str] = &[
    "127.0.0.1",
    "no-such-host.invalid",
    "{host}:1",
    "{host}:x",
    "{host}:",
];

const QUEUES: &[&str] = &["", "amq.reserved", "a b", "=x", "-x", "{queue}=", "ü"];

const URLS: &[&str] = &[
    "",
    "amqp://",
    "amqp:",
    "amqp://{host}",
    "amqp://{host}:{port}",
    "amqp://guest@{host}:{port}",
    "amqp://guest:@{host}:{port}",
    "amqp://:guest@{host}:{port}",
    "amqp://gues%74:gues%74@{host}:{port}",
    "amqp://gues%7:guest@{host}:{port}",
    "amqp://guest:wrong@{host}:{port}",
    "amqp://{host}:",
    "amqp://{host}:x",
    "amqp://{host}:{port}x",
    "amqp://{host}:0",
    "amqp://:{port}",
    "amqps://{host}:{port}",
    "http://{host}:{port}",
    "{host}:{port}",
    "{url}/nowhere",
    "{url}/a/b",
    "{url}/%2f/",
    "{url}/%zz",
    "{url}//",
];
