//! Files of certificates and keys: all formats that are in use, and what is said of the others.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rcgen::KeyPair;

use super::certificates::{Authority, Validity};
use super::front::{Front, VERSIONS};
use crate::support::Test;

/// Has OpenSSL make or convert a key.
fn openssl(arguments: &str, input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command openssl");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn keys_may_be_rsa_or_elliptic_and_in_any_unencrypted_format() {
    let test = Test::new();
    let authority = Authority::new("amqp-tools test authority");
    test.file("ca.pem", authority.pem());
    let server = authority.server(&["localhost"], Validity::Now);
    let broker = test.fill("{host}:{port}");
    let front = Front::that_asks(&server, &authority, VERSIONS[1], &broker);
    for (made_by, converted_by, begins) in [
        (
            "genpkey -algorithm RSA",
            "rsa -traditional",
            "BEGIN RSA PRIVATE KEY",
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            "ec",
            "BEGIN EC PRIVATE KEY",
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
            "ec",
            "BEGIN EC PRIVATE KEY",
        ),
        ("genpkey -algorithm ED25519", "pkey", "BEGIN PRIVATE KEY"),
    ] {
        let pkcs8 = openssl(made_by, "");
        let converted = openssl(converted_by, &pkcs8);
        assert!(converted.contains(begins), "{made_by}");
        let client = authority.client_with_key("ann", &KeyPair::from_pem(&pkcs8).unwrap());
        for key in [pkcs8, converted] {
            test.file("cert.pem", &client.certificate);
            test.file("key.pem", &key);
            test.file("both.pem", key + &client.certificate);
            for files in [
                "--cert cert.pem --key key.pem",
                "--cert both.pem",
                "--key both.pem",
            ] {
                test.run("amqp-declare-queue -d -q {queue} --cacert ca.pem")
                    .arg("-u")
                    .arg(format!("amqps://localhost:{}", front.port()))
                    .args(files.split(' '))
                    .stdout("{queue}\n")
                    .succeeds();
            }
        }
    }
}

#[test]
fn files_that_hold_something_else_are_named_and_not_quoted() {
    let test = Test::new();
    let client = Authority::new("someone").client("ann");
    let encrypted = openssl("pkcs8 -topk8 -passout pass:secret", &client.key);
    test.file("cert.pem", &client.certificate);
    test.file("key.pem", &client.key);
    test.file("another.pem", Authority::new("someone").client("ann").key);
    test.file("encrypted.pem", encrypted);
    test.file("text", "secret");
    test.file("cut.pem", &client.key[..client.key.len() / 2]);
    for (flags, complaint) in [
        (
            "--cacert none.pem",
            "reading certificates from none.pem: No such file or directory",
        ),
        (
            "--cacert text",
            "reading certificates from text: no certificate in PEM in it",
        ),
        (
            "--cacert key.pem",
            "reading certificates from key.pem: no certificate in PEM in it",
        ),
        (
            "--cert cert.pem --key encrypted.pem",
            "reading the private key from encrypted.pem: no private key in PEM in it \
             (an encrypted one must be decrypted first)",
        ),
        (
            "--cert cert.pem --key cut.pem",
            "reading the private key from cut.pem: ",
        ),
        (
            "--cert cert.pem",
            "reading the private key from cert.pem: no private key in PEM in it",
        ),
        (
            "--cert cert.pem --key another.pem",
            "using the private key another.pem: it is not the certificate's",
        ),
    ] {
        let ended = test
            .run(&format!(
                "amqp-get -q {{queue}} --ssl -s {{host}} --port {{port}} {flags}"
            ))
            .stderr_line(complaint)
            .exits(1);
        assert!(!ended.stderr_text().contains("secret"), "{flags}");
    }
}
