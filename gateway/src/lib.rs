#![doc = include_str!("../ARCHITECTURE.md")]

pub mod cli;

pub mod config;

pub mod logging;

pub mod supervisor;

pub mod listener;

pub mod session;

pub mod auth;

pub mod normalise;

pub mod pipeline;

pub mod spool;

pub mod core;

pub mod service;

pub mod bridge;

pub mod output;

pub mod control;

pub mod web;

pub mod health;

pub mod service_manager;

pub mod clock;

pub mod recent;
