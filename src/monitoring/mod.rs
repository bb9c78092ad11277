//! What `--status-address` shows: an HTTP server for the probes of an orchestrator and for Prometheus.
//!
//! The tool's own threads count in shared atomic numbers, and make no system call for it. A thread of the server's own answers requests
//! from these numbers. It waits for no client, and nobody waits for it.
//!
//! * `server`: the thread, and the connections of clients.
//! * `http`: requests and responses as bytes.
//! * `health`: whether the tool is ready.
//! * `link`: the connection to the broker.
//! * `registry`: the numbers, under their names.

mod health;
mod http;
mod link;
mod registry;
mod server;

pub(crate) use link::Link;
pub(crate) use registry::{Numbers, raise};
pub(crate) use server::{StatusServer, start};
