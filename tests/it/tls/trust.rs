//! Whom the tools believe, and what they say of those that they don't.

use super::certificates::{Authority, Issued, Validity, first_version, self_signed};
use super::front::{Front, VERSIONS};
use crate::support::{Command, Test};

/// What every test here does: declare a queue through a server that shows a certificate.
const DECLARE: &str = "amqp-declare-queue -d -q {queue}";

struct Scene {
    test: Test,
    authority: Authority,
}

impl Scene {
    /// `ca.pem` in the test's folder is the authority's.
    fn new() -> Self {
        let (test, authority) = (Test::new(), Authority::new("amqp-tools test authority"));
        test.file("ca.pem", authority.pem());
        Self { test, authority }
    }

    fn front(&self, issued: &Issued) -> Front {
        Front::with(issued, &self.test.fill("{host}:{port}"))
    }

    fn declare_by(&self, front: &Front, flags: &str) -> Command<'_> {
        let port = front.port();
        self.test
            .run(&format!("{DECLARE} -u amqps://localhost:{port} {flags}"))
    }
}

#[test]
fn a_server_of_the_given_authority_is_trusted_by_name_and_by_address() {
    let scene = Scene::new();
    let issued = scene
        .authority
        .server(&["localhost", "127.0.0.1"], Validity::Now);
    let front = scene.front(&issued);
    let port = front.port();
    for server in [
        format!("-u amqps://localhost:{port}"),
        format!("-u amqps://127.0.0.1:{port}"),
        format!("--ssl -s localhost --port {port}"),
        format!("--ssl -u amqp://localhost:{port}"),
    ] {
        let line = format!("{DECLARE} {server} --cacert ca.pem");
        scene.test.run(&line).stdout("{queue}\n").succeeds();
        let line = format!("{line} --no-default-cert-paths");
        scene.test.run(&line).stdout("{queue}\n").succeeds();
    }
}

#[test]
fn the_systems_authorities_are_trusted_unless_told_not_to() {
    let scene = Scene::new();
    let front = scene.front(&scene.authority.server(&["localhost"], Validity::Now));
    let system = |flags: &str| {
        scene
            .declare_by(&front, flags)
            .env("SSL_CERT_FILE", "{folder}/ca.pem")
    };
    system("").stdout("{queue}\n").succeeds();
    system("--no-default-cert-paths")
        .stderr_line("no certificate authority to trust: give the broker's with --cacert")
        .exits(1);

    scene
        .test
        .file("other.pem", Authority::new("another").pem());
    system("--cacert other.pem").stdout("{queue}\n").succeeds();
    system("--cacert other.pem --no-default-cert-paths")
        .stderr_line("not trusted here")
        .exits(1);
}

#[test]
fn an_unknown_issuer_is_refused_and_what_to_do_is_said() {
    let scene = Scene::new();
    let front = scene.front(&Authority::new("someone").server(&["localhost"], Validity::Now));
    let complaint = format!(
        "opening socket to localhost:{}: the server's certificate is from an authority that is not trusted here; \
         give the authority's with --cacert",
        front.port()
    );
    for flags in ["--cacert ca.pem", "--cacert ca.pem --retry 1h"] {
        scene
            .declare_by(&front, flags)
            .stderr_line(&complaint)
            .exits(1);
    }
    assert!(!scene.test.queue("queue").exists());
}

#[test]
fn certificates_count_only_while_they_are_valid() {
    let scene = Scene::new();
    for (validity, complaint) in [
        (
            Validity::Past,
            "the server's certificate expired on 2020-03-01",
        ),
        (
            Validity::Future,
            "the server's certificate is not valid before 4090-03-01",
        ),
    ] {
        let front = scene.front(&scene.authority.server(&["localhost"], validity));
        scene
            .declare_by(&front, "--cacert ca.pem --retry 1h")
            .stderr_line(complaint)
            .exits(1);
    }
}

#[test]
fn the_name_must_be_the_servers() {
    let scene = Scene::new();
    for (names, complaint) in [
        (
            &["a.example", "10.1.2.3"][..],
            "the server's certificate is not for localhost: it is for a.example, 10.1.2.3",
        ),
        (&[], "names none (it has no subjectAltName)"),
    ] {
        let front = scene.front(&scene.authority.server(names, Validity::Now));
        scene
            .declare_by(&front, "--cacert ca.pem")
            .stderr_line(complaint)
            .exits(1);
    }
}

#[test]
fn a_self_signed_certificate_is_trusted_where_it_is_the_very_one_given() {
    let scene = Scene::new();
    let issued = self_signed(&["localhost"]);
    scene.test.file("server.pem", &issued.certificate);
    let front = scene.front(&issued);
    scene
        .declare_by(&front, "--cacert server.pem")
        .stdout("{queue}\n")
        .succeeds();
    scene
        .declare_by(&front, "--cacert ca.pem")
        .stderr_line("give it with --cacert")
        .exits(1);

    let issued = self_signed(&["a.example"]);
    scene.test.file("server.pem", &issued.certificate);
    let front = scene.front(&issued);
    scene
        .declare_by(&front, "--cacert server.pem")
        .stderr_line("not for localhost: it is for a.example")
        .exits(1);
}

#[test]
fn insecure_trusts_anyone_and_warns() {
    let scene = Scene::new();
    let front = scene.front(&Authority::new("someone").server(&["a.example"], Validity::Past));
    scene
        .declare_by(&front, "--insecure")
        .stdout("{queue}\n")
        .stderr_line("warning: --insecure: the server's certificate is not verified")
        .succeeds();
}

#[test]
fn a_certificate_of_version_1_is_refused_in_words_and_insecure_takes_it() {
    let scene = Scene::new();
    let issued = first_version();
    scene.test.file("server.pem", &issued.certificate);
    let front = scene.front(&issued);
    for flags in ["", "--cacert server.pem"] {
        scene
            .declare_by(&front, flags)
            .stderr_contains("the server's certificate is of X.509 version 1, ")
            .stderr_contains("(--insecure takes any)\n")
            .exits(1);
    }
    scene
        .declare_by(&front, "--insecure")
        .stdout("{queue}\n")
        .stderr_line("warning: --insecure: ")
        .succeeds();
}

#[test]
fn the_servers_name_may_be_another_than_the_hosts() {
    let scene = Scene::new();
    let front = scene.front(&scene.authority.server(&["rabbit.example"], Validity::Now));
    scene
        .declare_by(&front, "--cacert ca.pem --server-name rabbit.example")
        .stdout("{queue}\n")
        .succeeds();
    assert_eq!(front.last_name().as_deref(), Some("rabbit.example"));
    scene
        .declare_by(&front, "--cacert ca.pem --server-name other.example")
        .stderr_line("the server's certificate is not for other.example: it is for rabbit.example")
        .exits(1);
    scene
        .test
        .run(&format!("{DECLARE} --server-name rabbit.example"))
        .stdout("{queue}\n")
        .stderr_line("warning: --server-name has no effect without --ssl or amqps://")
        .succeeds();
}

#[test]
fn a_url_may_hold_what_tls_needs() {
    let scene = Scene::new();
    scene
        .test
        .file("other.pem", Authority::new("another").pem());
    let front = scene.front(
        &scene
            .authority
            .server(&["localhost", "r.example"], Validity::Now),
    );
    let declare = |parameters: &str, flags: &str| {
        let url = format!("amqps://localhost:{}?{parameters}", front.port());
        scene.test.run(&format!("{DECLARE} -u '{url}' {flags}"))
    };
    declare("cacertfile=ca.pem", "")
        .stdout("{queue}\n")
        .succeeds();
    assert_eq!(front.last_name().as_deref(), Some("localhost"));
    declare("cacertfile={folder}%2Fca.pem&verify=verify_peer", "")
        .stdout("{queue}\n")
        .succeeds();
    declare("cacertfile=other.pem", "--cacert ca.pem")
        .stdout("{queue}\n")
        .succeeds();
    declare("cacertfile=other.pem", "")
        .env("AMQP_CACERT", "ca.pem")
        .stderr_line("not trusted here")
        .exits(1);
    declare("cacertfile=ca.pem&server_name_indication=r.example", "")
        .stdout("{queue}\n")
        .succeeds();
    assert_eq!(front.last_name().as_deref(), Some("r.example"));
    declare("cacertfile=ca.pem&server_name_indication=disable", "")
        .stdout("{queue}\n")
        .succeeds();
    assert_eq!(front.last_name(), None);
    declare("verify=verify_none", "")
        .stdout("{queue}\n")
        .stderr_line("warning: verify=verify_none: the server's certificate is not verified")
        .succeeds();
    scene
        .test
        .run(&format!("{DECLARE} -u '{{url}}?certfile=cert.pem'"))
        .stdout("{queue}\n")
        .stderr_line("warning: certfile has no effect without --ssl or amqps://")
        .succeeds();
}

#[test]
fn a_server_that_wants_a_client_certificate_is_understood() {
    let scene = Scene::new();
    let issued = scene.authority.server(&["localhost"], Validity::Now);
    let ours = scene.authority.client("ann");
    scene.test.file("ours.pem", ours.certificate + &ours.key);
    let theirs = Authority::new("someone").client("ann");
    scene
        .test
        .file("theirs.pem", theirs.certificate + &theirs.key);
    for version in VERSIONS {
        let broker = scene.test.fill("{host}:{port}");
        let front = Front::that_asks(&issued, &scene.authority, version, &broker);
        scene
            .declare_by(&front, "--cacert ca.pem")
            .stderr_line("a client certificate: give one with --cert and --key")
            .exits(1);
        scene
            .declare_by(&front, "--cacert ca.pem --cert theirs.pem")
            .stderr_line("the server refuses the client certificate")
            .exits(1);
        // The broker behind the front does not offer EXTERNAL, so guest logs in as with amqp-tools.
        scene
            .declare_by(&front, "--cacert ca.pem --cert ours.pem")
            .stdout("{queue}\n")
            .succeeds();
        let url = format!("amqps://localhost:{}", front.port());
        let parameters = "cacertfile=ca.pem&certfile=ours.pem&keyfile=ours.pem";
        scene
            .test
            .run(&format!("{DECLARE} -u '{url}?{parameters}'"))
            .stdout("{queue}\n")
            .succeeds();
    }
}

#[test]
fn tls_and_plain_text_are_told_apart() {
    let scene = Scene::new();
    let front = scene.front(&scene.authority.server(&["localhost"], Validity::Now));
    scene
        .test
        .run(&format!("{DECLARE} -u amqp://localhost:{}", front.port()))
        .stderr_line("the server there speaks TLS: use amqps:// or --ssl")
        .exits(1);
    scene
        .test
        .run(&format!(
            "{DECLARE} --ssl -s {{host}} --port {{port}} --insecure"
        ))
        .stderr_contains("the server there speaks AMQP without TLS: use amqp://, without --ssl\n")
        .exits(1);
}

#[test]
fn flags_of_tls_without_tls_are_warned_about() {
    let test = Test::new();
    test.run(&format!("{DECLARE} --cacert ca.pem"))
        .stdout("{queue}\n")
        .stderr_line("warning: --cacert has no effect without --ssl or amqps://")
        .succeeds();
}

#[test]
fn authorities_can_be_named_by_the_environment() {
    let scene = Scene::new();
    let front = scene.front(&scene.authority.server(&["localhost"], Validity::Now));
    scene
        .declare_by(&front, "--no-default-cert-paths")
        .env("AMQP_CACERT", "ca.pem")
        .stdout("{queue}\n")
        .succeeds();
    scene
        .test
        .file("other.pem", Authority::new("another").pem());
    scene
        .declare_by(&front, "--no-default-cert-paths --cacert other.pem")
        .env("AMQP_CACERT", "ca.pem")
        .stderr_line("not trusted here")
        .exits(1);
}
