//! Filters in the broker's SQL-92: checked before anybody sends them, and rewritten so that they mean what they say.
//!
//! The broker keeps every property as text and turns it into whatever kind the literal beside it is. So `temperature >
//! 35` makes it read `36.5` as an integer, which fails, and a failure counts as "no": 36 is delivered and 36.5 is not.
//! `temperature > 35.0` is right for both. Zero has no such way out, since the broker refuses the literal `0.0`; but
//! there is a smallest number above zero, and with it every comparison with zero can be said exactly. And a name alone
//! is never true, since a property is a text: `open` has to be `open = TRUE`.

use std::{collections::BTreeSet, fmt};

use thiserror::Error;

mod lexer;
mod parser;
mod print;
#[cfg(test)]
mod tests;

/// Bytes of the longest filter.
pub const FILTER_LEN_MAX: usize = 2_048;

/// Parentheses and `NOT`s inside each other.
pub const DEPTH_MAX: usize = 32;

/// A filter that the broker understands as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    sql: String,
    names: BTreeSet<String>,
}

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("filter, character {place}: {problem}", place = .at + 1)]
pub struct FilterError {
    /// Characters in front of the place.
    pub at: usize,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl Filter {
    /// Checks and rewrites `text`.
    ///
    /// # Errors
    /// [`FilterError`], the first there is.
    pub fn new(text: &str) -> Result<Self, FilterError> {
        if text.len() > FILTER_LEN_MAX {
            let problem = format!("{} bytes, {FILTER_LEN_MAX} are allowed", text.len());
            return Err(FilterError { at: 0, problem });
        }
        let expression = parser::parse(text)?;
        let mut names = BTreeSet::new();
        expression.collect_names(&mut names);
        Ok(Self { sql: expression.to_string(), names })
    }

    /// What is sent to the broker.
    #[must_use]
    pub fn as_sql(&self) -> &str {
        &self.sql
    }

    /// The properties that it asks for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}

/// A condition, as the owner means it.
#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    /// `TRUE` or `FALSE` alone.
    Constant(bool),
    /// A name alone: the property is `true`.
    IsTrue(String),
    /// The order of numbers, or their equality.
    Number {
        name: String,
        order: Order,
        number: f64,
    },
    /// Two properties against each other, as the broker does it.
    Names {
        left: String,
        order: Order,
        right: String,
    },
    /// Equality with a text, in its quotes.
    Text {
        name: String,
        equal: bool,
        text: String,
    },
    Boolean {
        name: String,
        equal: bool,
        value: bool,
    },
    Between {
        name: String,
        not: bool,
        low: f64,
        high: f64,
    },
    In {
        name: String,
        not: bool,
        texts: Vec<String>,
    },
    /// `CONTAINS`, `STARTSWITH`, `ENDSWITH`, in capitals.
    Part {
        name: String,
        not: bool,
        word: &'static str,
        text: String,
    },
    IsNull {
        name: String,
        not: bool,
    },
}

/// How two sides compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Order {
    /// The same with the sides changed.
    const fn turned(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

impl Expression {
    fn collect_names(&self, names: &mut BTreeSet<String>) {
        match self {
            Self::Any(all) | Self::All(all) => all.iter().for_each(|one| one.collect_names(names)),
            Self::Not(inner) => inner.collect_names(names),
            Self::Constant(_) => {}
            Self::Names { left, right, .. } => names.extend([left.clone(), right.clone()]),
            Self::IsTrue(name)
            | Self::Number { name, .. }
            | Self::Text { name, .. }
            | Self::Boolean { name, .. }
            | Self::Between { name, .. }
            | Self::In { name, .. }
            | Self::Part { name, .. }
            | Self::IsNull { name, .. } => {
                names.insert(name.clone());
            }
        }
    }
}
