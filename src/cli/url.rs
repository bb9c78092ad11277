//! AMQP URLs: `amqp[s]://user:password@host:port/vhost?heartbeat=N`, as `RabbitMQ` documents them
//! (<https://www.rabbitmq.com/docs/uri-spec>), with amqp-tools' defaults for what is left out.

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
}

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
        _ if name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_') =>
        {
            return Err(wrong(&format!("unknown parameter '{name}'")));
        }
        _ => return Err(wrong("unknown parameter")),
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
                external: false,
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
            ("amqp://u:secret@h?verify=none", "verify"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
