//! The JSON that nearly all devices send, checked in one pass: plain names, plain numbers, no escapes.
//!
//! [`check`] takes `{"temperature":23.4}` and `{"boot":7,"seq":42,"ts":…,"values":{…}}` with numbers of fifteen digits
//! at most, and leaves everything else, faults among it, to the general reader. It keeps none of the measurements:
//! a message is stored and handed on as the device wrote it, and who wants to know what it says makes the reading.
//! Property tests hold the three readers together.

mod text;

use std::ops::Range;

use tidegate_protocol::{MEASUREMENTS_MAX, Name, Reading};

use super::Numbers;
use text::Text;

/// Measurements of a payload that is known to have more than one.
const SEVERAL: usize = 2;

/// Digits of which a double holds every combination.
const DIGITS_MAX: usize = 15;

/// What a payload was found to be, in a number that a record keeps: 0, or, of a plain payload of several measurements,
/// one more than the place where their object begins, which ends at the next closing brace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape(u16);

impl Shape {
    /// What [`Shape::code`] has given.
    #[must_use]
    pub const fn of_code(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// What is known of a payload that was accepted before: whoever has it stored need not check it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What it was found to be.
    pub shape: Shape,
    /// What it says of its reading as a whole; of `boot` and `seq` either both or none.
    pub numbers: Numbers,
}

/// What is known of a plain payload.
#[derive(Clone, Debug)]
pub(super) struct Plain<'a> {
    payload: &'a [u8],
    pub(super) numbers: Numbers,
    /// Measurements, at least one; of a payload that was recalled, [`SEVERAL`].
    pub(super) count: usize,
    /// Where the object of the measurements stands; an empty range where other words stand among them.
    object: Range<usize>,
}

/// `None` when the general reader is to look at `payload`.
pub(super) fn check(payload: &[u8]) -> Option<Plain<'_>> {
    let mut scan = Scan { bytes: payload, at: 0, numbers: Numbers::default() };
    let mut names = Names { keys: [&[]; MEASUREMENTS_MAX], count: 0, kinds: 0 };
    let object = scan.object(&mut names)?;
    Some(Plain { payload, numbers: scan.numbers, count: names.count, object })
}

/// As [`check`], of a payload that was checked before. `None` when nothing is known of it.
pub(super) fn recall(payload: &[u8], known: Known) -> Option<Plain<'_>> {
    let from = usize::from(known.shape.0.checked_sub(1)?);
    let object = payload.get(from..).filter(|rest| rest.first() == Some(&b'{'))?;
    let len = memchr::memchr(b'}', object)? + 1;
    Some(Plain { payload, numbers: known.numbers, count: SEVERAL, object: from..from + len })
}

impl<'a> Plain<'a> {
    /// What it was found to be.
    pub(super) fn known(&self) -> Known {
        let numbers = self.numbers;
        let is_kept = self.count > 1 && numbers.boot.is_some() == numbers.sequence.is_some();
        let is_line = self.line().is_some();
        let from = u16::try_from(self.object.start).ok().filter(|_| is_kept && is_line);
        Known { shape: Shape(from.and_then(|from| from.checked_add(1)).unwrap_or(0)), numbers }
    }

    /// What it says.
    pub(super) fn reading(&self) -> Reading {
        let mut reading = Reading::new();
        let read = Text::new(self.payload).read(&mut reading);
        debug_assert!(read.is_some(), "what was checked can be read");
        reading
    }

    /// The object of the measurements, where it stands alone and in one line.
    pub(super) fn object(&self) -> Option<&'a str> {
        str::from_utf8(self.line()?).ok()
    }

    fn line(&self) -> Option<&'a [u8]> {
        let object = self.payload.get(self.object.clone()).filter(|object| !object.is_empty())?;
        // Without a branch for each byte this is a few instructions.
        let is_broken = object.iter().fold(false, |broken, byte| broken | (*byte < b' '));
        if is_broken { None } else { Some(object) }
    }
}

/// The names of measurements: they have to differ.
struct Names<'a> {
    keys: [&'a [u8]; MEASUREMENTS_MAX],
    count: usize,
    /// A bit for each kind of name that came: what is of a new kind need not be looked for among the others.
    kinds: u128,
}

impl<'a> Names<'a> {
    fn add(&mut self, key: &'a [u8]) -> Option<()> {
        let kind = kind(key);
        if self.kinds & kind != 0 && self.keys.get(..self.count)?.contains(&key) {
            return None;
        }
        self.kinds |= kind;
        *self.keys.get_mut(self.count)? = key;
        self.count += 1;
        Some(())
    }
}

/// One of 128 bits, by the last two letters: names of one device often begin alike, and two digits are a number.
fn kind(name: &[u8]) -> u128 {
    let [.., before, last] = name else { return 1 };
    1 << ((u32::from(*before) * 10 + u32::from(*last)) % 128)
}

/// A word that has a meaning beside the measurements, or stands where one might.
enum Word {
    Boot,
    Sequence,
    Ts,
    Values,
    /// For the general reader.
    Other,
}

fn word(key: &[u8]) -> Option<Word> {
    match key {
        b"boot" => Some(Word::Boot),
        b"seq" => Some(Word::Sequence),
        b"ts" => Some(Word::Ts),
        b"values" => Some(Word::Values),
        b"units" => Some(Word::Other),
        _ => None,
    }
}

/// How far the payload was read. All that it takes is ASCII.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    numbers: Numbers,
}

impl<'a> Scan<'a> {
    /// The whole payload. Returns where the object of the measurements stands.
    fn object(&mut self, names: &mut Names<'a>) -> Option<Range<usize>> {
        self.expect(b'{')?;
        let from = self.at - 1;
        loop {
            let key = self.key()?;
            match word(key) {
                None => self.measurement(key, names)?,
                Some(Word::Values) if names.count == 0 => return self.values(names),
                Some(word) => self.envelope(&word)?,
            }
            if self.is_last()? {
                let values = if self.numbers == Numbers::default() { from..self.at } else { 0..0 };
                self.end()?;
                return (names.count > 0).then_some(values);
            }
        }
    }

    /// The object under `values`, and numbers behind it. A measurement there is for the general reader to refuse.
    fn values(&mut self, names: &mut Names<'a>) -> Option<Range<usize>> {
        self.expect(b'{')?;
        let from = self.at - 1;
        loop {
            let key = self.key()?;
            self.measurement(key, names)?;
            if self.is_last()? {
                break;
            }
        }
        let values = from..self.at;
        while !self.is_last()? {
            let key = self.key()?;
            self.envelope(&word(key)?)?;
        }
        self.end()?;
        Some(values)
    }

    fn measurement(&mut self, key: &'a [u8], names: &mut Names<'a>) -> Option<()> {
        self.number()?;
        names.add(key)
    }

    /// A number of the reading, each at most once.
    fn envelope(&mut self, word: &Word) -> Option<()> {
        let number = self.whole()?;
        match word {
            Word::Boot if self.numbers.boot.is_none() => {
                self.numbers.boot = Some(u32::try_from(number).ok()?);
            }
            Word::Sequence if self.numbers.sequence.is_none() => self.numbers.sequence = Some(number),
            Word::Ts if self.numbers.ts.is_none() => self.numbers.ts = Some(number),
            _ => return None,
        }
        Some(())
    }

    /// The next byte; 0, which has no place in what is taken, at the end.
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        self.expect_next(byte)
    }

    fn expect_next(&mut self, byte: u8) -> Option<()> {
        let is_there = self.peek() == byte;
        self.at += 1;
        is_there.then_some(())
    }

    /// `"name":`. The words beside the measurements are names, too.
    fn key(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let rest = self.bytes.get(self.at..)?;
        let len = Name::check_front(rest).ok()?;
        self.at += len;
        self.expect_next(b'"')?;
        self.expect(b':')?;
        rest.get(..len)
    }

    /// Whether an object ends here; else a comma was read.
    fn is_last(&mut self) -> Option<bool> {
        self.skip_blanks();
        let byte = self.peek();
        self.at += 1;
        match byte {
            b',' => Some(false),
            b'}' => Some(true),
            _ => None,
        }
    }

    fn end(&mut self) -> Option<()> {
        self.skip_blanks();
        (self.at == self.bytes.len()).then_some(())
    }

    /// How many digits are next, which are read.
    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        self.at - from
    }

    /// A number without an exponent (RFC 8259 section 6).
    fn number(&mut self) -> Option<()> {
        self.skip_blanks();
        self.at += usize::from(self.peek() == b'-');
        let zero = self.peek() == b'0';
        let mut count = self.digits();
        if count == 0 || (zero && count > 1) {
            return None;
        }
        if self.peek() == b'.' {
            self.at += 1;
            let decimals = self.digits();
            if decimals == 0 {
                return None;
            }
            count += decimals;
        }
        (count <= DIGITS_MAX && !matches!(self.peek(), b'e' | b'E')).then_some(())
    }

    fn whole(&mut self) -> Option<u64> {
        self.skip_blanks();
        let from = self.at;
        let count = self.digits();
        let digits = self.bytes.get(from..self.at)?;
        let is_whole = !matches!(self.peek(), b'.' | b'e' | b'E');
        let is_plain = digits.first()? != &b'0' || count == 1;
        let value = |value: u64, byte: &u8| value * 10 + u64::from(byte - b'0');
        (count <= DIGITS_MAX && is_whole && is_plain).then(|| digits.iter().fold(0, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Readings, json},
        *,
    };

    fn both(payload: &str) -> (Option<Reading>, Option<Readings<'static>>) {
        let plain = check(payload.as_bytes()).map(|plain| plain.reading());
        (plain, json::parse_general(payload.as_bytes()).ok())
    }

    #[test]
    fn what_devices_send_is_taken() {
        for payload in [
            r#"{"temperature":23.4}"#,
            " { \"a\" : -0.5 , \"b\" : 0 , \"c\" : 100000000000000 } \n",
            r#"{"boot":7,"seq":42,"ts":1700000000000,"values":{"temperature":23.4,"humidity":40}}"#,
            r#"{"values":{"temperature":23.4},"ts":5}"#,
            r#"{"seq":1,"temperature":23.4}"#,
        ] {
            let (plain, general) = both(payload);
            assert_eq!(plain.map(|reading| Readings::from(vec![reading])), general, "{payload}");
            assert!(general.is_some());
        }
    }

    /// What the object says that `payload` is said to hold.
    fn object(payload: &str) -> Option<(&str, Readings<'_>)> {
        let readings = json::parse(payload.as_bytes()).ok()?;
        Some((readings.object()?, readings))
    }

    #[test]
    fn the_object_of_the_measurements_is_found_where_it_stands_alone_in_one_line() {
        let found = |payload| object(payload).map(|(object, _)| object);
        assert_eq!(found(r#"{"boot":7,"values":{"a": 1.50},"seq":1}"#), Some(r#"{"a": 1.50}"#));
        assert_eq!(found(" {\"a\":1,\"b\":2} \n"), Some(r#"{"a":1,"b":2}"#));
        for payload in
            ["{\"seq\":1,\"a\":2}", "{\"values\":{\"a\":\n1}}", "{\"a\":\t1}", "{\"a\":true}", "[{\"a\":1}]"]
        {
            assert_eq!(found(payload), None, "{payload}");
        }
    }

    #[test]
    fn everything_else_is_left_to_the_general_reader() {
        for payload in [
            "",
            "{",
            "{}",
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":.5}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e3}"#,
            r#"{"a":-}"#,
            r#"{"a":1234567890123456}"#,
            r#"{"a":0.1234567890123456}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":true}"#,
            r#"{"uid":1}"#,
            r#"{"in":1}"#,
            r#"{"a b":1}"#,
            r#"{"boot":4294967296,"a":1}"#,
            r#"{"seq":1.5,"a":1}"#,
            r#"{"boot":1,"boot":2,"a":1}"#,
            r#"{"a":1,"values":{"b":2}}"#,
            r#"{"values":{"b":2},"a":1}"#,
            r#"{"values":{"b":2},"values":{"c":2}}"#,
            r#"{"values":{}}"#,
            r#"{"ts":5}"#,
            r#"{"a":1,"units":{"a":"C"}}"#,
            r#"[{"a":1}]"#,
        ] {
            assert_eq!(both(payload).0, None, "{payload}");
        }
    }

    #[test]
    fn what_was_found_of_several_measurements_is_recalled() {
        for payload in [
            r#"{"boot":7,"seq":42,"ts":1700000000000,"values":{"temperature":23.4,"humidity":40}}"#,
            r#"{"values":{"temperature":23.4,"humidity":40},"ts":5}"#,
            " {\"a\":1,\"b\":2} \n",
        ] {
            let found = check(payload.as_bytes()).unwrap();
            let again = recall(payload.as_bytes(), found.known()).unwrap();
            assert_eq!((again.object(), again.numbers), (found.object(), found.numbers), "{payload}");
            assert_eq!(again.reading(), found.reading());
            assert!(again.object().is_some() && again.count > 1);
        }
        for payload in [
            r#"{"temperature":23.4}"#,
            r#"{"boot":7,"values":{"a":1,"b":2}}"#,
            r#"{"ts":5,"a":1,"b":2}"#,
            "{\"a\":1,\n\"b\":2}",
        ] {
            let found = check(payload.as_bytes()).unwrap();
            assert_eq!(found.known().shape, Shape::default(), "{payload}");
            assert!(recall(payload.as_bytes(), found.known()).is_none());
        }
        let far = format!("{}{{\"a\":1,\"b\":2}}", " ".repeat(usize::from(u16::MAX)));
        assert_eq!(check(far.as_bytes()).unwrap().known().shape, Shape::default());
        assert_eq!(check(&far.as_bytes()[1..]).unwrap().known().shape, Shape::of_code(u16::MAX));
    }

    #[test]
    fn a_number_that_fits_no_payload_recalls_nothing() {
        let payload = br#"{"a":1,"b":2}"#;
        for code in [2, 14, u16::MAX] {
            let known = Known { shape: Shape::of_code(code), numbers: Numbers::default() };
            assert!(recall(payload, known).is_none(), "{code}");
        }
        let known = Known { shape: Shape::of_code(1), numbers: Numbers::default() };
        assert!(recall(b"{\"a\":1", known).is_none() && recall(b"", known).is_none());
    }

    proptest! {
        #[test]
        fn both_readers_read_the_same(
            payload in "[ ]?\\{([ ]?\"(boot|seq|ts|values|a|b_1|uid|in)\"[ ]?:[ ]?(-?[0-9]{1,17}(\\.[0-9]{1,4})?|true|\\{\"c\":1(,\"a\":-2.5)?\\})[ ]?,?){0,4}\\}[ ]?"
        ) {
            let (plain, general) = both(&payload);
            if let Some(plain) = plain {
                prop_assert_eq!(Some(Readings::from(vec![plain])), general);
            }
            if let Some((object, readings)) = object(&payload) {
                let again = json::parse_general(object.as_bytes()).unwrap();
                prop_assert_eq!(&again[0].measurements, &readings[0].measurements);
                prop_assert!(!object.contains('\n'));
            }
        }

        #[test]
        fn both_readers_read_the_same_number(whole in -999_999_999_i64..999_999_999, fraction in "[0-9]{1,6}") {
            let payload = format!("{{\"a\":{whole}.{fraction}}}");
            let (plain, general) = both(&payload);
            prop_assert!(plain.is_some());
            prop_assert_eq!(plain.map(|reading| Readings::from(vec![reading])), general);
        }
    }
}
