//! AMQP URLs: `amqp[s]://user:password@host:port/vhost?heartbeat=N`, as `RabbitMQ` documents them
//! (<https://www.rabbitmq.com/docs/uri-spec>), with amqp-tools' defaults for what is left out.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::broker::Credentials;

/// What a URL says; what it leaves out is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerUrl {
    /// `amqps`
    pub tls: bool,
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: Option<String>,
    /// 0 to 65535
    pub port: Option<u16>,
    /// Absent for no path and for `/` alone.
    pub vhost: Option<String>,
    /// The name, if one is given, with the password (`guest`, if none is given).
    pub credentials: Option<Credentials>,
    /// `heartbeat`, in seconds; 0 turns heartbeats off.
    pub heartbeat: Option<u16>,
    /// `connection_timeout`, given in milliseconds.
    pub connect_timeout: Option<Duration>,
    /// `auth_mechanism=external`
    pub external: bool,
    /// `channel_max`; 0 is no limit.
    pub channel_max: u16,
    /// `frame_max`, in bytes; 0 is no limit.
    pub frame_max: u32,
    /// What counts for TLS alone.
    pub tls_parameters: TlsParameters,
    /// Names of parameters that have no meaning here.
    pub unknown: Vec<String>,
}

/// The parameters for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsParameters {
    /// `cacertfile`
    pub cacert: Option<PathBuf>,
    /// `certfile`
    pub cert: Option<PathBuf>,
    /// `keyfile`
    pub key: Option<PathBuf>,
    /// `verify=verify_none`
    pub verifies_nothing: bool,
    /// `server_name_indication`
    pub server_name: Option<ServerNameIndication>,
}

/// The name that the server is told, and that its certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerNameIndication {
    /// `disable`: the server is told none.
    Disabled,
    /// This one.
    Name(String),
}

impl TlsParameters {
    /// The name of a parameter that is given, if one is.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        [
            ("cacertfile", self.cacert.is_some()),
            ("certfile", self.cert.is_some()),
            ("keyfile", self.key.is_some()),
            ("verify", self.verifies_nothing),
            ("server_name_indication", self.server_name.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// The smallest limit for frames that AMQP 0-9-1 knows (`frame-min-size`).
const FRAME_MIN: u32 = 4096;

/// Why a text is no AMQP URL. Its words name the part that is wrong and never quote the credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not parse AMQP URL: {0}")]
pub struct UrlError(String);

/// Parses an AMQP URL.
///
/// # Errors
/// Says which part is wrong.
pub fn parse(text: &str) -> Result<BrokerUrl, UrlError> {
    let (tls, rest) = scheme(text)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (userinfo, address) = match authority.rsplit_once('@') {
        Some((userinfo, address)) => (Some(userinfo), address),
        None => (None, authority),
    };
    let (host, port) = host_and_port(address)?;
    let mut url = BrokerUrl {
        tls,
        host,
        port,
        vhost: vhost(path)?,
        credentials: userinfo.map(credentials).transpose()?.flatten(),
        ..BrokerUrl::default()
    };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        set_parameter(&mut url, parameter)?;
    }
    Ok(url)
}

/// The URLs in a list separated by commas. A comma within a URL (in a password, say) separates nothing, since no URL
/// begins behind it.
#[must_use]
pub fn split_list(list: &str) -> Vec<&str> {
    let mut urls = Vec::new();
    let mut rest = list;
    while let Some(end) = rest
        .match_indices(',')
        .map(|(comma, _)| comma)
        .find(|comma| scheme(rest[comma + 1..].trim_start()).is_ok())
    {
        urls.push(rest[..end].trim());
        rest = &rest[end + 1..];
    }
    urls.push(rest.trim().trim_end_matches(','));
    urls
}

fn scheme(text: &str) -> Result<(bool, &str), UrlError> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| wrong("it does not begin with 'amqp://' or 'amqps://'"))?;
    if scheme.eq_ignore_ascii_case("amqp") {
        Ok((false, rest))
    } else if scheme.eq_ignore_ascii_case("amqps") {
        Ok((true, rest))
    } else {
        Err(wrong("it does not begin with 'amqp://' or 'amqps://'"))
    }
}

fn host_and_port(address: &str) -> Result<(Option<String>, Option<u16>), UrlError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest
                .split_once(']')
                .ok_or_else(|| wrong("'[' without ']' in the host"))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(wrong("only a port may follow ']'")),
            };
            (host, port)
        }
        None if is_bare_ipv6(address) => {
            return Err(wrong(
                "an IPv6 address stands in brackets, as in amqp://[::1]:5672",
            ));
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let host = decode(host, "host")?;
    Ok((
        Some(host).filter(|host| !host.is_empty()),
        port.map(parse_port).transpose()?,
    ))
}

/// Whether it is an IPv6 address, or begins with one. A password that holds a '/' may stand here too.
fn is_bare_ipv6(address: &str) -> bool {
    let is_its = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    address.matches(':').count() > 1 && address.bytes().all(is_its)
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    // Not quoted: where a password has a '/', its beginning stands here.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| {
        wrong("the port is not a number from 0 to 65535 (write a '/' in a password as %2F, a '?' as %3F)")
    })
}

fn vhost(path: &str) -> Result<Option<String>, UrlError> {
    if path.contains('/') {
        return Err(wrong(
            "only a vhost may follow the host; write a '/' within its name as %2F",
        ));
    }
    Ok(Some(decode(path, "vhost")?).filter(|vhost| !vhost.is_empty()))
}

fn credentials(userinfo: &str) -> Result<Option<Credentials>, UrlError> {
    let default = Credentials::default();
    if userinfo.is_empty() {
        return Ok(None);
    }
    let (username, password) = match userinfo.split_once(':') {
        Some((username, password)) => (username, decode(password, "password")?),
        None => (userinfo, default.password),
    };
    Ok(Some(Credentials {
        username: decode(username, "username")?,
        password,
    }))
}

fn set_parameter(url: &mut BrokerUrl, parameter: &str) -> Result<(), UrlError> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    match name {
        "heartbeat" => {
            let seconds = value
                .parse()
                .map_err(|_| wrong("heartbeat is a number of seconds, 0 to 65535"))?;
            url.heartbeat = Some(seconds);
        }
        "connection_timeout" => {
            let milliseconds = value
                .parse()
                .map_err(|_| wrong("connection_timeout is a number of milliseconds"))?;
            // 0 stands for the default, as in RabbitMQ's own clients.
            let limit = Duration::from_millis(milliseconds);
            url.connect_timeout = Some(limit).filter(|limit| !limit.is_zero());
        }
        "auth_mechanism" if value.eq_ignore_ascii_case("external") => url.external = true,
        "auth_mechanism" if value.eq_ignore_ascii_case("plain") => url.external = false,
        "auth_mechanism" => return Err(wrong("auth_mechanism is 'plain' or 'external'")),
        "channel_max" => {
            url.channel_max = value
                .parse()
                .map_err(|_| wrong("channel_max is a number of channels, 0 to 65535"))?;
        }
        "frame_max" => {
            let size = value.parse().ok();
            url.frame_max = size
                .filter(|size| *size == 0 || *size >= FRAME_MIN)
                .ok_or_else(|| wrong("frame_max is a number of bytes, 0 or at least 4096"))?;
        }
        _ => set_tls_parameter(url, name, value)?,
    }
    Ok(())
}

fn set_tls_parameter(url: &mut BrokerUrl, name: &str, value: &str) -> Result<(), UrlError> {
    let tls = &mut url.tls_parameters;
    let file = || decode(value, name).map(|file| Some(file).filter(|file| !file.is_empty()));
    match name {
        "cacertfile" => tls.cacert = file()?.map(PathBuf::from),
        "certfile" => tls.cert = file()?.map(PathBuf::from),
        "keyfile" => tls.key = file()?.map(PathBuf::from),
        "verify" => match value {
            "verify_peer" => tls.verifies_nothing = false,
            "verify_none" => tls.verifies_nothing = true,
            _ => return Err(wrong("verify is 'verify_peer' or 'verify_none'")),
        },
        "server_name_indication" => {
            tls.server_name = match decode(value, name)?.as_str() {
                "" => return Err(wrong("server_name_indication is a name or 'disable'")),
                "disable" => Some(ServerNameIndication::Disabled),
                name => Some(ServerNameIndication::Name(name.to_owned())),
            };
        }
        _ if name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_') =>
        {
            url.unknown.push(name.to_owned());
        }
        // Not quoted: it may be a password.
        _ => {
            return Err(wrong(
                "unknown parameter (write a '?' in a password as %3F)",
            ));
        }
    }
    Ok(())
}

/// `text` with its %XX decoded; a `%` that begins none is an error, as in amqp-tools.
fn decode(text: &str, part: &str) -> Result<String, UrlError> {
    let stray_percent = text.split('%').skip(1).any(|after| {
        let bytes = after.as_bytes();
        bytes.len() < 2 || !bytes[..2].iter().all(u8::is_ascii_hexdigit)
    });
    if stray_percent {
        return Err(wrong(&format!(
            "a '%' in the {part} must be followed by two hexadecimal digits"
        )));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map(String::from)
        .map_err(|_| wrong(&format!("the {part} is not UTF-8")))
}

fn wrong(reason: &str) -> UrlError {
    UrlError(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(username: &str, password: &str) -> Credentials {
        Credentials {
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    #[test]
    fn every_part_may_be_given() {
        let url = parse(
            "amqps://ann:p%40ss:w@rabbit.example:5673/a%2Fb?heartbeat=5&connection_timeout=1500",
        )
        .unwrap();
        assert_eq!(
            url,
            BrokerUrl {
                tls: true,
                host: Some("rabbit.example".to_owned()),
                port: Some(5673),
                vhost: Some("a/b".to_owned()),
                credentials: Some(named("ann", "p@ss:w")),
                heartbeat: Some(5),
                connect_timeout: Some(Duration::from_millis(1500)),
                ..BrokerUrl::default()
            }
        );
    }

    #[test]
    fn every_part_may_be_missing() {
        for text in ["amqp://", "amqp:///", "amqp://@", "AMQP://", "amqp://@/?"] {
            assert_eq!(parse(text).unwrap(), BrokerUrl::default(), "{text}");
        }
        assert_eq!(parse("amqp://:5700/").unwrap().port, Some(5700));
        assert_eq!(
            parse("amqp://ann@h").unwrap().credentials,
            Some(named("ann", "guest"))
        );
        assert_eq!(
            parse("amqp://ann:@h").unwrap().credentials,
            Some(named("ann", ""))
        );
    }

    #[test]
    fn hosts_may_be_ipv6() {
        let url = parse("amqp://[::1]:5700/v").unwrap();
        assert_eq!((url.host.as_deref(), url.port), (Some("::1"), Some(5700)));
        assert_eq!(parse("amqp://[fe80::1]").unwrap().port, None);
    }

    #[test]
    fn a_vhost_of_one_slash_is_written_percent_2f() {
        assert_eq!(parse("amqp://h/%2f").unwrap().vhost.as_deref(), Some("/"));
        assert_eq!(parse("amqp://h/").unwrap().vhost, None);
    }

    #[test]
    fn the_mechanism_may_be_external() {
        assert!(parse("amqps://h?auth_mechanism=external").unwrap().external);
        assert!(parse("amqps://h?auth_mechanism=scram").is_err());
    }

    #[test]
    fn rabbitmqs_parameters_are_understood_and_others_are_kept_for_a_warning() {
        let url = parse(
            "amqps://h?cacertfile=%2Fa%20b&certfile=c&keyfile=k&verify=verify_none\
             &server_name_indication=rabbit&channel_max=7&frame_max=8192&depth=3&x",
        )
        .unwrap();
        let expected = BrokerUrl {
            tls: true,
            host: Some("h".to_owned()),
            channel_max: 7,
            frame_max: 8192,
            tls_parameters: TlsParameters {
                cacert: Some("/a b".into()),
                cert: Some("c".into()),
                key: Some("k".into()),
                verifies_nothing: true,
                server_name: Some(ServerNameIndication::Name("rabbit".to_owned())),
            },
            unknown: vec!["depth".to_owned(), "x".to_owned()],
            ..BrokerUrl::default()
        };
        assert_eq!(url, expected);
        let url = parse("amqps://h?verify=verify_peer&server_name_indication=disable").unwrap();
        assert!(!url.tls_parameters.verifies_nothing);
        assert_eq!(
            url.tls_parameters.server_name,
            Some(ServerNameIndication::Disabled)
        );
    }

    #[test]
    fn a_list_is_split_where_a_url_begins() {
        for (list, urls) in [
            ("amqp://a", vec!["amqp://a"]),
            ("amqp://a,amqps://b", vec!["amqp://a", "amqps://b"]),
            ("amqp://a, AMQP://b,\n", vec!["amqp://a", "AMQP://b"]),
            (
                "amqp://u:p,w@a,amqp://b",
                vec!["amqp://u:p,w@a", "amqp://b"],
            ),
            ("amqp://a,b", vec!["amqp://a,b"]),
            ("", vec![""]),
        ] {
            assert_eq!(split_list(list), urls, "{list}");
        }
    }

    #[test]
    fn wrong_parts_are_named_and_secrets_are_not() {
        for (text, part) in [
            ("http://secret@h", "amqp://"),
            ("h:5672", "amqp://"),
            ("amqp://u:secret@h:65536", "port"),
            ("amqp://u:secret@h:", "port"),
            ("amqp://u:secret/1@h", "%2F"),
            ("amqp://u:secret?1@h", "%3F"),
            ("amqp://u?secret@h", "parameter"),
            ("amqp://u:secret@[::1", "']'"),
            ("amqp://u:secret@[::1]5672", "']'"),
            ("amqp://u:secret@h/a/b", "%2F"),
            ("amqp://u:secret%2@h", "password"),
            ("amqp://u:secret%ff@h", "password"),
            ("amqp://u:secret@h?heartbeat=x", "heartbeat"),
            ("amqp://u:secret@h?heartbeat=70000", "heartbeat"),
            ("amqp://u:secret@h?verify=none", "verify_none"),
            ("amqp://u:secret@h?channel_max=70000", "channel_max"),
            ("amqp://u:secret@h?frame_max=4095", "frame_max"),
            ("amqp://u:secret@h?frame_max=", "frame_max"),
            ("amqp://u:secret@h?cacertfile=%ff", "cacertfile"),
            ("amqp://u:secret@h?server_name_indication=", "disable"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
