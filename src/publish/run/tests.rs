//! The run, event by event.
