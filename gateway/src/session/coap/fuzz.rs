//! One entry for coverage-guided fuzzing.
