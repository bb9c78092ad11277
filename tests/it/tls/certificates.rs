//! Certificates of the tests' own making.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

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

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
