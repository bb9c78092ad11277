//! The options for those who operate a tool that runs for long.

use clap::Args;

/// Where the tool shows how it is.
#[derive(Clone, Debug, Args)]
pub(super) struct MonitoringArgs {
    /// Serve /livez, /readyz and /metrics (Prometheus) over HTTP on this address
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address, help_heading = "Monitoring")]
    pub(super) status_address: Option<String>,
}

/// HOST:PORT. Whether that can be listened on is found out when the tool begins.
fn parse_address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':');
    let is_whole = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
    if parts.is_some_and(is_whole) {
        Ok(text.to_owned())
    } else {
        Err("expected HOST:PORT, such as 0.0.0.0:9100".to_owned())
    }
}
