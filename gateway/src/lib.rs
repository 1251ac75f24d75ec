//! The map.

pub mod cli;
pub mod config;
pub mod supervisor;

pub mod control;

pub mod listener;

pub mod session;

pub mod auth;

pub mod normalise;

pub mod pipeline;

pub mod spool;

pub mod bridge;

pub mod output;

pub mod clock;
pub mod logging;
