//! The options that all tools share: which broker, which user, and how long to try.

use std::env::VarError;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::parse_duration;
use super::number::parse_short;
use super::tls::TlsArgs;
use super::url::{self, BrokerUrl, TlsParameters};
use super::{UsageError, authfile, environment};
use crate::broker::{
    Authentication, ConnectOptions, Credentials, Endpoint, TlsClient, TlsError, Transport,
};

/// More does not fit into the first frames, whose size is not agreed on yet.
const LONGEST_CONNECTION_NAME: usize = 1024;

const HEADING: &str = "Connection options";
const TCP_PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// `RabbitMQ`'s default, in seconds. A lower interval of the broker wins, except 0.
const HEARTBEAT: u16 = 60;

/// The connection options as given.
#[derive(Args, Clone, Debug)]
pub(super) struct ConnectionArgs {
    /// Broker's URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster
    #[arg(short, long, value_name = "URL", action = clap::ArgAction::Append, help_heading = HEADING)]
    url: Vec<String>,

    /// Broker's host [default: localhost]
    #[arg(short, long, value_name = "HOST", help_heading = HEADING)]
    server: Option<String>,

    /// Broker's port [default: 5672, with TLS 5671]
    #[arg(long, value_name = "PORT", value_parser = parse_short, help_heading = HEADING)]
    port: Option<u16>,

    /// Virtual host [default: /]
    #[arg(long, value_name = "VHOST", help_heading = HEADING)]
    vhost: Option<String>,

    /// User name [default: guest]
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    username: Option<String>,

    /// Password; the process list shows it, --authfile hides it [default: guest]
    #[arg(long, value_name = "PASSWORD", help_heading = HEADING)]
    password: Option<String>,

    /// Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the
    /// broker proposes holds [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = parse_short, help_heading = HEADING)]
    heartbeat: Option<u16>,

    /// File with two lines, username:NAME and password:SECRET
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    authfile: Option<PathBuf>,

    /// Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = HEADING)]
    connect_timeout: Option<Duration>,

    /// Time to keep trying while the broker is unreachable [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = HEADING)]
    retry: Option<Duration>,

    /// Name that the broker lists the connection by (default: PROGRAM@HOST:PID)
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    connection_name: Option<String>,

    #[command(flatten)]
    tls: TlsArgs,
}

impl ConnectionArgs {
    /// What `program` is to connect to, from the flags, `AMQP_URL` and the defaults.
    pub(super) fn options(mut self, program: &str) -> anyhow::Result<ConnectOptions> {
        self.complete_from_environment()?;
        self.name_connection(program)?;
        if self.connect_timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(
                UsageError("the connect timeout must be longer than nothing".to_owned()).into(),
            );
        }
        let given = match self.urls_in_force()? {
            Some(urls) => parse_urls(&urls)?,
            None => vec![self.url_from_flags()?],
        };
        let from_file = self.credentials_from_file(&given)?;
        let tls = self.tls(&given)?;
        let mut endpoints = given
            .into_iter()
            .zip(tls)
            .map(|(url, tls)| self.endpoint(url, from_file.as_ref(), tls));
        let Some(first) = endpoints.next() else {
            return Err(UsageError("no URL given".to_owned()).into());
        };
        let mut options = ConnectOptions::new(first, endpoints.collect());
        options.retry = self.retry.unwrap_or_default();
        options.announce = super::warn;
        Ok(options)
    }

    /// What no flag says, the environment may say.
    fn complete_from_environment(&mut self) -> Result<(), UsageError> {
        if self.heartbeat.is_none() {
            self.heartbeat = environment::value(environment::HEARTBEAT, parse_short)?;
        }
        if self.connect_timeout.is_none() {
            self.connect_timeout =
                environment::value(environment::CONNECT_TIMEOUT, parse_duration)?;
        }
        if self.retry.is_none() {
            self.retry = environment::value(environment::RETRY, parse_duration)?;
        }
        Ok(())
    }

    /// Has the connection a name by which a person finds the process.
    fn name_connection(&mut self, program: &str) -> Result<(), UsageError> {
        let name = self.connection_name.get_or_insert_with(|| {
            let host = rustix::system::uname();
            let host = host.nodename().to_string_lossy();
            format!("{program}@{host}:{}", std::process::id())
        });
        if name.len() > LONGEST_CONNECTION_NAME {
            return Err(UsageError(format!(
                "--connection-name is longer than {LONGEST_CONNECTION_NAME} bytes"
            )));
        }
        Ok(())
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

    /// The URL that the other options stand for.
    fn url_from_flags(&self) -> Result<BrokerUrl, UsageError> {
        let (host, port) = self.server_and_port()?;
        let default = Credentials::default();
        let named = self.username.is_some() || self.password.is_some();
        Ok(BrokerUrl {
            host,
            port,
            vhost: self.vhost.clone(),
            credentials: named.then(|| Credentials {
                username: self.username.clone().unwrap_or(default.username),
                password: self.password.clone().unwrap_or(default.password),
            }),
            ..BrokerUrl::default()
        })
    }

    /// The credentials of `--authfile`. It is an error if there are others too.
    fn credentials_from_file(&self, urls: &[BrokerUrl]) -> anyhow::Result<Option<Credentials>> {
        let Some(file) = &self.authfile else {
            return self.credentials_from_environment(urls);
        };
        if self.username.is_some() || self.password.is_some() {
            let message = "--authfile and --username or --password cannot be used at the same time";
            return Err(UsageError(message.to_owned()).into());
        }
        if urls.iter().any(|url| url.credentials.is_some()) {
            return Err(exclusive("--authfile").into());
        }
        authfile::read(file).map(Some)
    }

    /// What the file holds that the environment names, unless there are credentials on the command line.
    fn credentials_from_environment(
        &self,
        urls: &[BrokerUrl],
    ) -> anyhow::Result<Option<Credentials>> {
        let in_urls = urls.iter().any(|url| url.credentials.is_some());
        let by_flags = self.username.is_some() || self.password.is_some();
        match environment::path(environment::AUTHFILE) {
            Some(_) if by_flags || (in_urls && !self.url.is_empty()) => Ok(None),
            Some(_) if in_urls => Err(UsageError(
                "AMQP_AUTHFILE and the credentials in AMQP_URL cannot be used at the same time"
                    .to_owned(),
            )
            .into()),
            Some(file) => authfile::read(&file).map(Some),
            None => Ok(None),
        }
    }

    fn endpoint(
        &self,
        url: BrokerUrl,
        from_file: Option<&Credentials>,
        tls: Option<TlsClient>,
    ) -> Endpoint {
        let transport = tls.map_or(Transport::Tcp, Transport::Tls);
        let default_port = match transport {
            Transport::Tcp => TCP_PORT,
            Transport::Tls(_) => TLS_PORT,
        };
        let has_identity = self.tls.has_identity(&url.tls_parameters);
        let may_be_external = has_identity && matches!(transport, Transport::Tls(_));
        let authentication = match url.credentials.or_else(|| from_file.cloned()) {
            _ if url.external => Authentication::External,
            Some(credentials) => Authentication::Plain(credentials),
            None if may_be_external => Authentication::ExternalIfOffered(Credentials::default()),
            None => Authentication::Plain(Credentials::default()),
        };
        Endpoint {
            host: url.host.unwrap_or_else(|| "localhost".to_owned()),
            port: url.port.unwrap_or(default_port),
            vhost: url.vhost.unwrap_or_else(|| "/".to_owned()),
            transport,
            authentication,
            heartbeat: self.heartbeat.or(url.heartbeat).unwrap_or(HEARTBEAT),
            connect_timeout: self
                .connect_timeout
                .or(url.connect_timeout)
                .unwrap_or(CONNECT_TIMEOUT),
            connection_name: self.connection_name.clone().unwrap_or_default(),
            channel_max: url.channel_max,
            frame_max: url.frame_max,
        }
    }

    /// The host, and the port of `--port` or, deprecated as in amqp-tools, of `--server`.
    fn server_and_port(&self) -> Result<(Option<String>, Option<u16>), UsageError> {
        let Some(server) = &self.server else {
            return Ok((None, self.port));
        };
        if server.is_empty() {
            return Err(UsageError("--server: no host is named".to_owned()));
        }
        if server.contains("://") {
            return Err(UsageError(
                "--server takes a host; a URL is given by --url".to_owned(),
            ));
        }
        match server.rsplit_once(':') {
            // Several colons without brackets are an IPv6 address without a port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                if self.port.is_some() {
                    return Err(UsageError(
                        "both --server and --port options specify server port".to_owned(),
                    ));
                }
                super::warn("Specifying the port number with --server is deprecated");
                let port = port
                    .parse()
                    .map_err(|_| UsageError(format!("bad server port number in '{server}'")))?;
                Ok((Some(without_brackets(host)), Some(port)))
            }
            _ => Ok((Some(without_brackets(server)), self.port)),
        }
    }

    fn wants_tls(&self, url: &BrokerUrl) -> bool {
        self.tls.ssl || url.tls
    }

    /// For each URL, its TLS settings, if it is to be connected to with TLS.
    fn tls(&self, urls: &[BrokerUrl]) -> Result<Vec<Option<TlsClient>>, TlsError> {
        if !urls.iter().any(|url| self.wants_tls(url)) {
            self.tls
                .warn_if_idle(urls.iter().map(|url| &url.tls_parameters));
        }
        // Nodes of one cluster mostly have the same.
        let mut made: Vec<(&TlsParameters, TlsClient)> = Vec::new();
        let mut clients = Vec::new();
        for url in urls {
            let parameters = &url.tls_parameters;
            clients.push(
                match made.iter().find(|(made_of, _)| *made_of == parameters) {
                    _ if !self.wants_tls(url) => None,
                    Some((_, client)) => Some(client.clone()),
                    None => {
                        let client = self.tls.client(parameters)?;
                        made.push((parameters, client.clone()));
                        Some(client)
                    }
                },
            );
        }
        Ok(clients)
    }
}

fn parse_urls(texts: &[String]) -> Result<Vec<BrokerUrl>, UsageError> {
    texts.iter().map(|text| parse_url(text)).collect()
}

/// Parameters that are not known are no error: other clients may know them.
fn parse_url(text: &str) -> Result<BrokerUrl, UsageError> {
    let url = url::parse(text).map_err(|error| UsageError(error.to_string()))?;
    for name in &url.unknown {
        super::warn(&format!(
            "warning: the URL's parameter '{name}' is not known here, and counts for nothing"
        ));
    }
    Ok(url)
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
