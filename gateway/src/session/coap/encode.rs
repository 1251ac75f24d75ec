//! What goes out: at most one option, so no codec is needed.

use super::{
    answer::Answer,
    strict::{Kind, Token},
};

/// How many times larger than the request an answer may be: the peer's address may be forged (RFC 7252, section 11.3).
pub(super) const AMPLIFICATION_MAX: usize = 3;

const PAYLOAD_MARKER: u8 = 0xFF;

/// A message without code, token and body: an acknowledgement, or a reset.
pub(super) fn empty(out: &mut Vec<u8>, kind: Kind, message_id: u16) {
    header(out, kind, 0, message_id, Token::default());
}

/// A response. Words for people are left out where they would make it more than three times as long as the request.
pub(super) fn response(out: &mut Vec<u8>, to: &Responding, answer: Answer) {
    let begin = out.len();
    header(out, to.kind, answer.code(), to.message_id, to.token);
    if let Some((number, value)) = answer.option(to.payload_bytes_max) {
        uint_option(out, number, value);
    }
    let text = answer.text();
    let bytes_max = usize::from(to.request_bytes).saturating_mul(AMPLIFICATION_MAX);
    if !text.is_empty() && out.len() - begin + 1 + text.len() <= bytes_max {
        out.push(PAYLOAD_MARKER);
        out.extend_from_slice(text.as_bytes());
    }
}

/// What is answered, and how.
pub(super) struct Responding {
    pub(super) kind: Kind,
    pub(super) message_id: u16,
    pub(super) token: Token,
    pub(super) request_bytes: u16,
    pub(super) payload_bytes_max: u32,
}

fn header(out: &mut Vec<u8>, kind: Kind, code: u8, message_id: u16, token: Token) {
    let kind = match kind {
        Kind::Confirmable => 0,
        Kind::NonConfirmable => 1,
        Kind::Acknowledgement => 2,
        Kind::Reset => 3,
    };
    let [high, low] = message_id.to_be_bytes();
    out.extend_from_slice(&[1 << 6 | kind << 4 | token.len(), code, high, low]);
    out.extend_from_slice(token.as_bytes());
}

/// An option of a number below 269 with an unsigned integer (RFC 7252, sections 3.1 and 3.2).
fn uint_option(out: &mut Vec<u8>, number: u16, value: u32) {
    let bytes = value.to_be_bytes();
    let value = bytes.get(bytes.iter().take_while(|byte| **byte == 0).count()..).unwrap_or_default();
    let length = u8::try_from(value.len()).unwrap_or(0);
    match u8::try_from(number) {
        Ok(small @ 0..=12) => out.push(small << 4 | length),
        Ok(larger) => out.extend_from_slice(&[13 << 4 | length, larger - 13]),
        Err(_) => return,
    }
    out.extend_from_slice(value);
}
