//! Certificates of the tests' own making.

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Who vouches for others.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy)]
pub(crate) enum Validity {
    Now,
    Past,
    Future,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = named(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server with these host names and addresses.
    pub(crate) fn server(&self, names: &[&str], validity: Validity) -> Issued {
        let mut parameters = named("server", names);
        let (first, last) = match validity {
            Validity::Now => (1975, 4096),
            Validity::Past => (2019, 2020),
            Validity::Future => (4090, 4096),
        };
        parameters.not_before = date_time_ymd(first, 3, 1);
        parameters.not_after = date_time_ymd(last, 3, 1);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&parameters, &KeyPair::generate().unwrap())
    }

    /// A certificate for a client that goes by that name.
    pub(crate) fn client(&self, name: &str) -> Issued {
        self.client_with_key(name, &KeyPair::generate().unwrap())
    }

    pub(crate) fn client_with_key(&self, name: &str, key: &KeyPair) -> Issued {
        let mut parameters = named(name, &[]);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&parameters, key)
    }

    fn issue(&self, parameters: &CertificateParams, key: &KeyPair) -> Issued {
        Issued {
            certificate: parameters.signed_by(key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A server's certificate that nobody else vouches for; as `openssl req -x509` makes them, it says that it is an
/// authority's.
pub(crate) fn self_signed(names: &[&str]) -> Issued {
    let mut parameters = named("server", names);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Issued {
        certificate: parameters.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// A certificate of X.509 version 1, as `openssl x509 -req` of old made them: of version 3, without the version and what
/// else only version 3 has. Its signature is that of the other.
pub(crate) fn first_version() -> Issued {
    let issued = self_signed(&["localhost"]);
    let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let [certificate] = elements(&der)[..] else {
        panic!("a certificate is one element");
    };
    let [contents, algorithm, signature] = elements(certificate.1)[..] else {
        panic!("a certificate has three parts");
    };
    let kept = elements(contents.1)
        .into_iter()
        .filter(|(tag, _)| ![VERSION, EXTENSIONS].contains(tag));
    let contents: Vec<u8> = kept.flat_map(|(tag, value)| element(tag, value)).collect();
    let parts = [
        element(SEQUENCE, &contents),
        element(algorithm.0, algorithm.1),
        element(signature.0, signature.1),
    ];
    let der = element(SEQUENCE, &parts.concat());
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    Issued {
        certificate: format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"),
        key: issued.key,
    }
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// The elements of DER, each with its tag.
fn elements(mut der: &[u8]) -> Vec<(u8, &[u8])> {
    let mut elements = Vec::new();
    while let [tag, first, rest @ ..] = der {
        let (length, rest) = match usize::from(*first) {
            short @ ..0x80 => (short, rest),
            long => {
                let (bytes, rest) = rest.split_at(long - 0x80);
                let length = bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (length, rest)
            }
        };
        let (value, rest) = rest.split_at(length);
        elements.push((*tag, value));
        der = rest;
    }
    elements
}

/// An element of at most 64 KiB.
fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
    match value.len() {
        ..0x80 => [&[tag, low], value].concat(),
        0x80..0x100 => [&[tag, 0x81, low], value].concat(),
        _ => [&[tag, 0x82, high, low], value].concat(),
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
