//! The integration tests: the tools against a real RabbitMQ.
//!
//! A module a command, and some for what goes across them; `support` has the vocabulary. One private node serves
//! the whole run (or the broker that `AMQP_URL` names), so every test has queues of its own and deletes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;
mod cluster;
mod completions;
mod connect;
mod consume;
mod envelope;
mod examples;
mod exchanges;
mod failures;
mod fuzz_corpus;
mod get;
mod habits;
mod log_format;
mod lying_servers;
mod module_maps;
mod monitoring;
mod moving;
mod progress;
mod prometheus;
mod publish;
mod queues;
mod round_trips;
mod seed_broken_connections;
mod seed_checkpoint;
mod seed_confirms;
mod seed_own_node;
mod seed_refusals;
mod seed_sources;
mod side_by_side;
mod silences;
mod streams;
mod support;
mod support_works;
mod termination;
mod tls;
mod tutorial;
mod usage_errors;
mod wire;
