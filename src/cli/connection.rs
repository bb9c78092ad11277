//! The flags that all tools share: which broker, as whom, and how long to try.

use std::env::VarError;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::UsageError;
use super::duration::parse_duration;
use crate::broker::url::{self, BrokerUrl};
use crate::broker::{
    Authentication, ConnectOptions, Credentials, Endpoint, Transport, parse_authfile,
};

const HEADING: &str = "Connection options";
const TCP_PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// `RabbitMQ`'s own suggestion, in seconds. The broker's setting holds where it is lower.
const HEARTBEAT: u16 = 60;

/// The connection flags as given.
#[derive(Args, Clone, Debug)]
pub(super) struct ConnectionArgs {
    /// The broker's URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn
    #[arg(short, long, value_name = "URL", action = clap::ArgAction::Append, help_heading = HEADING)]
    url: Vec<String>,

    /// The broker's host [default: localhost]
    #[arg(short, long, value_name = "HOST", help_heading = HEADING)]
    server: Option<String>,

    /// The port [default: 5672, with TLS 5671]
    #[arg(long, value_name = "PORT", help_heading = HEADING)]
    port: Option<u16>,

    /// The virtual host [default: /]
    #[arg(long, value_name = "VHOST", help_heading = HEADING)]
    vhost: Option<String>,

    /// The user to log in as [default: guest]
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    username: Option<String>,

    /// The user's password [default: guest]; others on this machine can see it in the process list, see --authfile
    #[arg(long, value_name = "PASSWORD", help_heading = HEADING)]
    password: Option<String>,

    /// Seconds between heartbeats; 0 turns them off [default: the broker's, at most 60]
    #[arg(long, value_name = "SECONDS", help_heading = HEADING)]
    heartbeat: Option<u16>,

    /// A file with the two lines username:NAME and password:SECRET
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    authfile: Option<PathBuf>,

    /// Connect by TLS, and by nothing else
    #[arg(long, help_heading = HEADING)]
    ssl: bool,

    /// Certificates to trust, in PEM
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    cacert: Option<PathBuf>,

    /// The client's private key, in PEM
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    key: Option<PathBuf>,

    /// The client's certificate, in PEM
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    cert: Option<PathBuf>,

    /// Trust none of the system's certificates, only --cacert
    #[arg(long, help_heading = HEADING)]
    no_default_cert_paths: bool,

    /// How long connecting may take: name, TCP, TLS and login together [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = HEADING)]
    connect_timeout: Option<Duration>,

    /// How long to keep trying while the broker cannot be reached [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = HEADING)]
    retry: Option<Duration>,
}

impl ConnectionArgs {
    /// What to connect to, from the flags, `AMQP_URL` and the defaults.
    pub(super) fn options(self) -> anyhow::Result<ConnectOptions> {
        if self.connect_timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(
                UsageError("--connect-timeout must be longer than nothing".to_owned()).into(),
            );
        }
        let mut endpoints = match self.urls_in_force()? {
            Some(urls) => self.endpoints_from_urls(&urls)?,
            None => vec![self.endpoint_from_flags()?],
        };
        let first = endpoints.remove(0);
        let mut options = ConnectOptions::new(first, endpoints);
        options.retry = self.retry.unwrap_or_default();
        options.announce = super::complain;
        Ok(options)
    }

    /// The URLs of `--url` or, if no flag says where to connect, of `AMQP_URL`; at least one.
    fn urls_in_force(&self) -> Result<Option<Vec<String>>, UsageError> {
        let rival = [
            ("--server", self.server.is_some()),
            ("--port", self.port.is_some()),
            ("--vhost", self.vhost.is_some()),
            ("--username", self.username.is_some()),
            ("--password", self.password.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag));
        match rival {
            Some(flag) if !self.url.is_empty() => Err(exclusive(flag)),
            Some(_) => Ok(None),
            None if !self.url.is_empty() => Ok(Some(self.url.clone())),
            None => urls_from_environment(),
        }
    }

    fn endpoints_from_urls(&self, urls: &[String]) -> anyhow::Result<Vec<Endpoint>> {
        let urls: Vec<BrokerUrl> = urls
            .iter()
            .map(|text| url::parse(text).map_err(|error| UsageError(error.to_string())))
            .collect::<Result<_, _>>()?;
        let from_file = match &self.authfile {
            Some(_) if urls.iter().any(|url| url.credentials.is_some()) => {
                return Err(exclusive("--authfile").into());
            }
            Some(file) => Some(read_authfile(file)?),
            None => None,
        };
        Ok(urls
            .into_iter()
            .map(|url| self.endpoint_from_url(url, from_file.as_ref()))
            .collect())
    }

    fn endpoint_from_url(&self, url: BrokerUrl, from_file: Option<&Credentials>) -> Endpoint {
        let credentials = url.credentials.or_else(|| from_file.cloned());
        let transport = self.transport(url.tls);
        Endpoint {
            host: url.host.unwrap_or_else(|| "localhost".to_owned()),
            port: url.port.unwrap_or_else(|| default_port(transport)),
            vhost: url.vhost.unwrap_or_else(|| "/".to_owned()),
            transport,
            authentication: if url.external {
                Authentication::External
            } else {
                Authentication::Plain(credentials.unwrap_or_default())
            },
            heartbeat: self.heartbeat.or(url.heartbeat).unwrap_or(HEARTBEAT),
            connect_timeout: self
                .connect_timeout
                .or(url.connect_timeout)
                .unwrap_or(CONNECT_TIMEOUT),
        }
    }

    fn endpoint_from_flags(&self) -> anyhow::Result<Endpoint> {
        let transport = self.transport(false);
        let (host, port) = self.server_and_port()?;
        let credentials = match &self.authfile {
            Some(_) if self.username.is_some() || self.password.is_some() => {
                return Err(UsageError(
                    "--authfile and --username or --password cannot be used at the same time"
                        .to_owned(),
                )
                .into());
            }
            Some(file) => read_authfile(file)?,
            None => {
                let default = Credentials::default();
                Credentials {
                    username: self.username.clone().unwrap_or(default.username),
                    password: self.password.clone().unwrap_or(default.password),
                }
            }
        };
        Ok(Endpoint {
            host,
            port: port.unwrap_or_else(|| default_port(transport)),
            vhost: self.vhost.clone().unwrap_or_else(|| "/".to_owned()),
            transport,
            authentication: Authentication::Plain(credentials),
            heartbeat: self.heartbeat.unwrap_or(HEARTBEAT),
            connect_timeout: self.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        })
    }

    /// The host, and the port of `--port` or, as amqp-tools still allows, behind the host.
    fn server_and_port(&self) -> Result<(String, Option<u16>), UsageError> {
        let Some(server) = &self.server else {
            return Ok(("localhost".to_owned(), self.port));
        };
        match server.rsplit_once(':') {
            // More than one colon and no brackets: an IPv6 address, not a host and a port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                if self.port.is_some() {
                    return Err(UsageError(
                        "both --server and --port options specify server port".to_owned(),
                    ));
                }
                super::complain("Specifying the port number with --server is deprecated");
                let port = port
                    .parse()
                    .map_err(|_| UsageError(format!("bad server port number in '{server}'")))?;
                Ok((without_brackets(host), Some(port)))
            }
            _ => Ok((without_brackets(server), self.port)),
        }
    }

    fn transport(&self, url_says_tls: bool) -> Transport {
        if self.ssl || url_says_tls {
            Transport::Tls
        } else {
            Transport::Tcp
        }
    }
}

fn urls_from_environment() -> Result<Option<Vec<String>>, UsageError> {
    match std::env::var("AMQP_URL") {
        Ok(list) if list.trim().is_empty() => Ok(None),
        Ok(list) => {
            let urls = url::split_list(&list);
            Ok(Some(urls.into_iter().map(str::to_owned).collect()))
        }
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(UsageError("AMQP_URL is not UTF-8".to_owned())),
    }
}

fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Tcp => TCP_PORT,
        Transport::Tls => TLS_PORT,
    }
}

fn without_brackets(host: &str) -> String {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .to_owned()
}

fn exclusive(flag: &str) -> UsageError {
    UsageError(format!(
        "{flag} and --url options cannot be used at the same time"
    ))
}

fn read_authfile(path: &Path) -> anyhow::Result<Credentials> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("reading the auth file {name}: {error}"))?;
    parse_authfile(&text).map_err(|error| anyhow::anyhow!("malformed auth file {name}: {error}"))
}
