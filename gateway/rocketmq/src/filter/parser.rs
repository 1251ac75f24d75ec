//! The broker's grammar, without what is valid there and never meant: comparisons in a row, the order of texts.

use super::{
    DEPTH_MAX, Expression, FilterError, Order,
    lexer::{Token, tokens},
};

/// Reads a whole filter.
pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, next: 0, end: text.chars().count(), depth: 0 };
    let expression = parser.any()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.wrong("here should be AND, OR or the end")),
    }
}

struct Parser<'t, 'a> {
    tokens: &'t [(usize, Token<'a>)],
    next: usize,
    end: usize,
    depth: usize,
}

/// One side of a comparison.
enum Operand {
    Name(String),
    Number(f64),
    Text(String),
    Boolean(bool),
    /// What stands in parentheses or behind `NOT`.
    Condition(Expression),
}

impl<'a> Parser<'_, 'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.peek().cloned();
        self.next += 1;
        token
    }

    fn take_if(&mut self, token: &Token<'_>) -> bool {
        let is_next = self.peek() == Some(token);
        self.next += usize::from(is_next);
        is_next
    }

    fn take_word(&mut self, word: &'static str) -> bool {
        self.take_if(&Token::Keyword(word))
    }

    fn wrong(&self, problem: &str) -> FilterError {
        let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
        FilterError { at, problem: problem.to_owned() }
    }

    fn any(&mut self) -> Result<Expression, FilterError> {
        let mut all = vec![self.all()?];
        while self.take_word("OR") {
            all.push(self.all()?);
        }
        Ok(one_or(all, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, FilterError> {
        let mut all = vec![self.condition()?];
        while self.take_word("AND") {
            all.push(self.condition()?);
        }
        Ok(one_or(all, Expression::All))
    }

    fn condition(&mut self) -> Result<Expression, FilterError> {
        let begin = self.next;
        let left = self.operand()?;
        if let Some(Token::Order(order)) = self.peek() {
            let order = *order;
            self.next += 1;
            let right = self.operand()?;
            if let Some(Token::Order(_)) = self.peek() {
                return Err(self.wrong("comparisons cannot stand in a row; join them with AND"));
            }
            return compare(left, order, right).map_err(|problem| {
                self.next = begin;
                self.wrong(problem)
            });
        }
        match left {
            Operand::Condition(condition) => Ok(condition),
            Operand::Boolean(value) => Ok(Expression::Constant(value)),
            Operand::Name(name) => self.behind_name(name),
            Operand::Number(_) | Operand::Text(_) => {
                Err(self.wrong("a value alone is no condition; compare it with a property"))
            }
        }
    }

    /// What follows a name that is not compared: `IS NULL`, `BETWEEN`, `IN`, …, or nothing.
    fn behind_name(&mut self, name: String) -> Result<Expression, FilterError> {
        if self.take_word("IS") {
            let not = self.take_word("NOT");
            let expression = Expression::IsNull { name, not };
            return if self.take_word("NULL") {
                Ok(expression)
            } else {
                Err(self.wrong("here should be NULL"))
            };
        }
        let not = self.take_word("NOT");
        if self.take_word("BETWEEN") {
            return self.between(name, not);
        }
        if self.take_word("IN") {
            return self.within(name, not);
        }
        for word in ["CONTAINS", "STARTSWITH", "ENDSWITH"] {
            if self.take_word(word) {
                return Ok(Expression::Part { name, not, word, text: self.text()? });
            }
        }
        if not {
            Err(self.wrong("NOT stands in front of the whole condition"))
        } else {
            Ok(Expression::IsTrue(name))
        }
    }

    fn between(&mut self, name: String, not: bool) -> Result<Expression, FilterError> {
        let begin = self.next;
        let low = self.number()?;
        if !self.take_word("AND") {
            return Err(self.wrong("here should be AND: BETWEEN 20 AND 30"));
        }
        let high = self.number()?;
        if low > high {
            self.next = begin;
            return Err(self.wrong("the first number is larger than the second"));
        }
        Ok(Expression::Between { name, not, low, high })
    }

    fn within(&mut self, name: String, not: bool) -> Result<Expression, FilterError> {
        const SHAPE: &str =
            "here should be texts in parentheses: IN ('open', 'closed'); for numbers write a = 1 OR a = 2";
        if !self.take_if(&Token::Open) {
            return Err(self.wrong(SHAPE));
        }
        let mut texts = Vec::new();
        loop {
            texts.push(self.text().map_err(|error| FilterError { problem: SHAPE.to_owned(), ..error })?);
            if self.take_if(&Token::Close) {
                return Ok(Expression::In { name, not, texts });
            }
            if !self.take_if(&Token::Comma) {
                return Err(self.wrong(SHAPE));
            }
        }
    }

    fn text(&mut self) -> Result<String, FilterError> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = (*text).to_owned();
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.wrong("here should be a text in single quotes")),
        }
    }

    fn number(&mut self) -> Result<f64, FilterError> {
        let begin = self.next;
        match self.operand()? {
            Operand::Number(number) => Ok(number),
            _ => {
                self.next = begin;
                Err(self.wrong("here should be a number"))
            }
        }
    }

    fn operand(&mut self) -> Result<Operand, FilterError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong("too many parentheses inside each other"));
        }
        let operand = self.operand_within();
        self.depth -= 1;
        operand
    }

    fn operand_within(&mut self) -> Result<Operand, FilterError> {
        let begin = self.next;
        let missing = "here should be a name, a number or a text in single quotes";
        let Some(token) = self.take() else { return Err(self.wrong(missing)) };
        match token {
            Token::Name(name) => Ok(Operand::Name(name.to_owned())),
            Token::Number(number) => Ok(Operand::Number(number)),
            Token::Text(text) => Ok(Operand::Text(text.to_owned())),
            Token::Keyword("TRUE") => Ok(Operand::Boolean(true)),
            Token::Keyword("FALSE") => Ok(Operand::Boolean(false)),
            Token::Plus => Ok(Operand::Number(self.number()?)),
            Token::Minus => Ok(Operand::Number(-self.number()?)),
            Token::Keyword("NOT") => {
                // The broker binds NOT closer than a comparison; `NOT a > 5` is an error there. Nobody means anything
                // but this.
                let condition = self.condition()?;
                Ok(Operand::Condition(Expression::Not(Box::new(condition))))
            }
            Token::Open => {
                let inner = self.any()?;
                if !self.take_if(&Token::Close) {
                    return Err(self.wrong("here should be a )"));
                }
                Ok(Operand::Condition(inner))
            }
            Token::Keyword("NULL") => {
                self.next = begin;
                Err(self.wrong("nothing equals NULL; write IS NULL or IS NOT NULL"))
            }
            _ => {
                self.next = begin;
                Err(self.wrong(missing))
            }
        }
    }
}

fn one_or(mut all: Vec<Expression>, several: fn(Vec<Expression>) -> Expression) -> Expression {
    match all.pop() {
        Some(only) if all.is_empty() => only,
        Some(last) => {
            all.push(last);
            several(all)
        }
        None => several(all),
    }
}

fn compare(left: Operand, order: Order, right: Operand) -> Result<Expression, &'static str> {
    let equal = match order {
        Order::Equal => Some(true),
        Order::NotEqual => Some(false),
        _ => None,
    };
    match (left, right) {
        (Operand::Name(left), Operand::Name(right)) => Ok(Expression::Names { left, order, right }),
        (Operand::Name(name), Operand::Number(number)) => Ok(Expression::Number { name, order, number }),
        (Operand::Number(number), Operand::Name(name)) => {
            Ok(Expression::Number { name, order: order.turned(), number })
        }
        (Operand::Name(name), Operand::Text(text)) | (Operand::Text(text), Operand::Name(name)) => {
            let equal = equal.ok_or("texts are equal or not; the broker knows no order of them")?;
            Ok(Expression::Text { name, equal, text })
        }
        (Operand::Name(name), Operand::Boolean(value)) | (Operand::Boolean(value), Operand::Name(name)) => {
            let equal = equal.ok_or("TRUE and FALSE are equal or not; there is no order of them")?;
            Ok(Expression::Boolean { name, equal, value })
        }
        (Operand::Condition(_), _) | (_, Operand::Condition(_)) => {
            Err("a condition has nothing to compare; join conditions with AND and OR")
        }
        _ => Err("one side of a comparison is a property's name"),
    }
}
