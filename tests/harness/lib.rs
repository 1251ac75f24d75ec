//! Starts real parts for the tests.
