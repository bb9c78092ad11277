//! Exchanges: check.

use super::convert::short_string;
use super::error::Result;
use super::session::Session;

impl Session {
    /// Sees that an exchange is there, without creating it (exchange.declare, passive).
    pub fn look_at_exchange(&self, name: &str) -> Result<()> {
        let name = short_string("exchange name", name)?;
        self.channel()
            .exchange_declare_passive(name)
            .map(drop)
            .map_err(|error| self.failure("exchange.declare", error))
    }
}
