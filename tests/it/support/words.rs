//! What a broker says is its own: codes and texts of refusals, and the names that it makes up.

/// RabbitMQ's words; none where the run's broker is another one.
pub(crate) fn rabbitmqs(words: &str) -> &str {
    let is_another = std::env::var("AMQP_TOOLS_BROKER").is_ok_and(|name| name == "qpid");
    if is_another { "" } else { words }
}
