//! RabbitMQ's own TLS, with client certificates required: logins by certificate, and much data both ways.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tempfile::TempDir;
use testbroker::{Broker, Options, free_port};

use super::certificates::{Authority, Issued, Validity};
use crate::support::{Test, eventually};

/// Much data on a small machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(300);

/// A node that takes TLS connections of clients with a certificate, and logs them in by its name if they like.
struct TlsBroker {
    broker: Broker,
    tls_port: u16,
    authority: Authority,
    _certificates: TempDir,
}

impl TlsBroker {
    /// One for all tests that run at the same time.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<TlsBroker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start());
            *shared = Arc::downgrade(&started);
            started
        })
    }

    fn start() -> Self {
        let authority = Authority::new("amqp-tools test authority");
        let server = authority.server(&["localhost"], Validity::Now);
        let folder = TempDir::with_prefix("amqp-tools-tls-").unwrap();
        let tls_port = free_port().unwrap();
        let mut options = Options::new()
            .plugin("rabbitmq_auth_mechanism_ssl")
            .configure("max_message_size = 134217728") // the default before RabbitMQ 4.0
            .configure(format!("listeners.ssl.1 = 127.0.0.1:{tls_port}"))
            .configure("ssl_options.verify = verify_peer")
            .configure("ssl_options.fail_if_no_peer_cert = true")
            .configure("ssl_cert_login_from = common_name")
            .configure("auth_mechanisms.1 = PLAIN")
            .configure("auth_mechanisms.2 = EXTERNAL");
        for (name, contents) in [
            ("cacertfile", authority.pem()),
            ("certfile", server.certificate),
            ("keyfile", server.key),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, contents).unwrap();
            options = options.configure(format!("ssl_options.{name} = {}", file.display()));
        }
        let broker = Broker::start(&options).unwrap();
        // A node opens this listener after the one that it is waited for by.
        eventually("the TLS listener", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, tls_port)).is_ok()
        });
        Self {
            broker,
            tls_port,
            authority,
            _certificates: folder,
        }
    }

    /// A test on this broker. `flags` in its folder has the rest of what a client needs.
    fn test(&self, client: &Issued) -> Test {
        let test = Test::on(&self.broker.url());
        test.file("ca.pem", self.authority.pem());
        test.file("cert.pem", &client.certificate);
        test.file("key.pem", &client.key);
        test
    }

    /// The flags of a client that has a certificate.
    fn flags(&self) -> String {
        let port = self.tls_port;
        format!("-u amqps://localhost:{port} --cacert ca.pem --cert cert.pem --key key.pem")
    }
}

#[test]
fn a_client_certificate_logs_in_by_its_name() {
    let broker = TlsBroker::shared();
    let test = broker.test(&broker.authority.client("guest"));
    let flags = broker.flags();
    test.run(&format!("amqp-declare-queue -d -q {{queue}} {flags}"))
        .stdout("{queue}\n")
        .succeeds();
    let external = flags.replace(" --cacert", "?auth_mechanism=external --cacert");
    test.run(&format!("amqp-publish -r {{queue}} -b hello {external}"))
        .succeeds();
    test.queue("queue").holds(1);
}

#[test]
fn a_user_that_is_named_counts_more_than_the_certificate() {
    let broker = TlsBroker::shared();
    let test = broker.test(&broker.authority.client("nobody"));
    let flags = broker.flags();
    test.run(&format!("amqp-declare-queue -q {{queue}} {flags}"))
        .stderr_line(
            "logging in to AMQP server: server connection error 403, message: ACCESS_REFUSED - Login was refused \
             using authentication mechanism EXTERNAL",
        )
        .exits(1);
    let port = broker.tls_port;
    for user in [
        flags.replace("localhost", "guest:guest@localhost"),
        format!(
            "--ssl -s localhost --port {port} --username guest --cacert ca.pem --cert cert.pem --key key.pem"
        ),
    ] {
        test.run(&format!("amqp-declare-queue -d -q {{queue}} {user}"))
            .stdout("{queue}\n")
            .succeeds();
    }
    let external = flags.replace(
        &format!("localhost:{port}"),
        &format!("guest:guest@localhost:{port}?auth_mechanism=external"),
    );
    test.run(&format!("amqp-declare-queue -q {{queue}} {external}"))
        .stderr_line("authentication mechanism EXTERNAL")
        .exits(1);
}

#[test]
fn a_client_without_a_certificate_is_told_what_is_missing() {
    let broker = TlsBroker::shared();
    let test = broker.test(&broker.authority.client("guest"));
    let port = broker.tls_port;
    test.run(&format!(
        "amqp-get -q {{queue}} -u amqps://guest:guest@localhost:{port} --cacert ca.pem"
    ))
    .stderr_line("a client certificate: give one with --cert and --key")
    .exits(1);
}

#[test]
fn twenty_mebibytes_arrive_whole_both_ways() {
    let broker = TlsBroker::shared();
    let test = broker.test(&broker.authority.client("guest"));
    let flags = broker.flags();
    let queue = test.queue("queue").declare();
    let body: Vec<u8> = (0..20_u32 << 20)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    test.run(&format!("amqp-publish -r {{queue}} {flags}"))
        .stdin(&body)
        .within(PATIENCE)
        .succeeds();
    queue.holds(1);
    let got = test
        .run(&format!("amqp-get -q {{queue}} {flags}"))
        .any_stdout()
        .within(PATIENCE)
        .succeeds();
    assert!(got.stdout == body);
}

#[test]
fn a_hundred_thousand_lines_arrive_to_the_last_both_ways() {
    let broker = TlsBroker::shared();
    let test = broker.test(&broker.authority.client("guest"));
    let flags = broker.flags();
    let queue = test.queue("queue").declare();
    let lines: Vec<String> = (1..=100_000)
        .map(|number| format!("line {number}\n"))
        .collect();
    test.run(&format!("amqp-publish -l -r {{queue}} {flags}"))
        .stdin(lines.concat())
        .within(PATIENCE)
        .succeeds();
    queue.holds(100_000);
    let dump = test
        .run(&format!(
            "amqp-consume -q {{queue}} -p 1000 --json --idle-timeout 0s {flags}"
        ))
        .any_stdout()
        .within(PATIENCE)
        .succeeds();
    let bodies: Vec<String> = serde_json::Deserializer::from_slice(&dump.stdout)
        .into_iter::<serde_json::Value>()
        .map(|envelope| envelope.unwrap()["body"].as_str().unwrap().to_owned())
        .collect();
    assert!(bodies == lines, "{} bodies", bodies.len());
    queue.holds(0);
}
