//! Simulates the pure cores of the tools: a world of models around a core, in which a seed decides everything.
//!
//! * [`choices`]: where decisions come from, and their record.
//! * [`world`]: what a world is.
//! * [`explore`]: runs many seeds; a failure is [shrunk](shrink) to the smallest run that shows it.
//! * [`publish`], [`consume`], [`transfer`]: the worlds of the cores of amqp-publish, amqp-consume and amqp-move.
//! * [`reached`]: whether rare situations were come to at all.
//!
//! Nothing here or in a world may depend on a clock, on the order of a hash map, or on anything else but the choices: one
//! seed in twenty is run twice, and both runs must be the same.

pub mod choices;
pub mod consume;
pub mod explore;
pub mod publish;
pub mod reached;
mod report;
pub mod shrink;
pub mod transfer;
pub mod world;
