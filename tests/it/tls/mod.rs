//! TLS: which servers are trusted, which client certificates are shown, and that nothing is lost on the way.

mod broker;
mod certificates;
mod front;
mod keys;
mod strangers;
mod trust;
