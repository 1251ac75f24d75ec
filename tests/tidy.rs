//! House rules.

#[test]
fn placeholder() {}
