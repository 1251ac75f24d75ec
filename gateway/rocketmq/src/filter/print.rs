//! A condition as the broker has to be told it.

use std::fmt::{self, Display, Formatter};

use super::{Expression, Order};

/// The smallest number above zero, as Java writes it: the least literal that the broker takes.
const LEAST: &str = "4.9E-324";

/// A number as a decimal that the broker takes. Zero is none: see [`number`].
struct Decimal(f64);

impl Display for Decimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.abs() == f64::from_bits(1) {
            return write!(f, "{}{LEAST}", if self.0 < 0.0 { "-" } else { "" });
        }
        // `35.0`, `1e17`: always with a point or an exponent.
        write!(f, "{:?}", self.0)
    }
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(all) => joined(all, " OR ", f),
            Self::All(all) => joined(all, " AND ", f),
            Self::Not(inner) => write!(f, "NOT ({inner})"),
            Self::Constant(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Self::IsTrue(name) => write!(f, "{name} = TRUE"),
            Self::Number { name, order, number: value } => number(name, *order, *value, f),
            Self::Names { left, order, right } => write!(f, "{left} {} {right}", order.as_str()),
            Self::Text { name, equal, text } => write!(f, "{name} {} {text}", sign(*equal)),
            Self::Boolean { name, equal, value } => {
                write!(f, "{name} {} {}", sign(*equal), if *value { "TRUE" } else { "FALSE" })
            }
            Self::Between { name, not, low, high } => between(name, *not, *low, *high, f),
            Self::In { name, not, texts } => {
                write!(f, "{name} {}IN ({})", if *not { "NOT " } else { "" }, texts.join(", "))
            }
            Self::Part { name, not, word, text } => {
                write!(f, "{name} {}{word} {text}", if *not { "NOT " } else { "" })
            }
            Self::IsNull { name, not } => write!(f, "{name} IS {}NULL", if *not { "NOT " } else { "" }),
        }
    }
}

fn sign(equal: bool) -> &'static str {
    if equal { "=" } else { "<>" }
}

fn joined(all: &[Expression], between: &str, f: &mut Formatter<'_>) -> fmt::Result {
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        if is_joined(one) {
            write!(f, "({one})")?;
        } else {
            write!(f, "{one}")?;
        }
    }
    Ok(())
}

/// Whether it is written as several conditions.
fn is_joined(one: &Expression) -> bool {
    match one {
        Expression::Any(_) | Expression::All(_) => true,
        Expression::Number { order, number, .. } => {
            *number == 0.0 && matches!(order, Order::Equal | Order::NotEqual)
        }
        Expression::Between { low, high, .. } => *low == 0.0 || *high == 0.0,
        _ => false,
    }
}

fn number(name: &str, order: Order, value: f64, f: &mut Formatter<'_>) -> fmt::Result {
    if value != 0.0 {
        return write!(f, "{name} {} {}", order.as_str(), Decimal(value));
    }
    match order {
        Order::Greater => write!(f, "{name} >= {LEAST}"),
        Order::GreaterOrEqual => write!(f, "{name} > -{LEAST}"),
        Order::Less => write!(f, "{name} <= -{LEAST}"),
        Order::LessOrEqual => write!(f, "{name} < {LEAST}"),
        Order::Equal => write!(f, "{name} > -{LEAST} AND {name} < {LEAST}"),
        Order::NotEqual => write!(f, "{name} <= -{LEAST} OR {name} >= {LEAST}"),
    }
}

fn between(name: &str, not: bool, low: f64, high: f64, f: &mut Formatter<'_>) -> fmt::Result {
    if low != 0.0 && high != 0.0 {
        let not = if not { "NOT " } else { "" };
        return write!(f, "{name} {not}BETWEEN {} AND {}", Decimal(low), Decimal(high));
    }
    let (from, to, word) = if not {
        (Order::Less, Order::Greater, "OR")
    } else {
        (Order::GreaterOrEqual, Order::LessOrEqual, "AND")
    };
    number(name, from, low, f)?;
    write!(f, " {word} ")?;
    number(name, to, high, f)
}
