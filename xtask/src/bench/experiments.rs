//! What is measured, one file an experiment.

pub(crate) mod consuming;
pub(crate) mod large_bodies;
pub(crate) mod one_shot;
pub(crate) mod round_trips;
pub(crate) mod seeding;
pub(crate) mod sizes;
pub(crate) mod startup;
pub(crate) mod tls;
