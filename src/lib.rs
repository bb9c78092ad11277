//! Command-line AMQP tools for shell scripts and worker containers.
#![forbid(unsafe_code)]
