//! What a datagram must be before anything else looks at it: RFC 7252, sections 3, 3.1 and 4.1.

/// Bytes of the fixed header.
const HEADER_BYTES: usize = 4;
/// Bytes of the longest token; 9 to 15 are reserved (RFC 7252, section 3).
pub(super) const TOKEN_BYTES_MAX: usize = 8;
/// The only version there is.
const VERSION: u8 = 1;
const PAYLOAD_MARKER: u8 = 0xFF;

/// A message's type (RFC 7252, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Wants an acknowledgement.
    Confirmable,
    /// Best effort.
    NonConfirmable,
    /// Answers a confirmable message.
    Acknowledgement,
    /// Its receiver could make nothing of a message.
    Reset,
}

/// A token: up to eight bytes that an answer repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Token {
    bytes: [u8; TOKEN_BYTES_MAX],
    len: u8,
}

impl Token {
    fn new(from: &[u8]) -> Option<Self> {
        let mut token = Self { bytes: [0; TOKEN_BYTES_MAX], len: u8::try_from(from.len()).ok()? };
        token.bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(token)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub(super) const fn len(self) -> u8 {
        self.len
    }
}

/// Header and token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Class in the upper three bits, detail in the lower five; 0 is an empty message.
    pub(super) code: u8,
    pub(super) message_id: u16,
    pub(super) token: Token,
}

impl Head {
    /// A request's code: class 0, but not empty.
    pub(super) const fn is_request(&self) -> bool {
        self.code >> 5 == 0 && self.code != 0
    }

    /// Where options begin.
    pub(super) fn bytes(&self) -> usize {
        HEADER_BYTES + usize::from(self.token.len())
    }
}

/// A datagram that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Of another version or shorter than a header: to be passed over in silence (RFC 7252, section 3).
    Foreign,
    /// A message format error: rejected with a Reset of this id where the type allows it (sections 4.2, 4.3).
    Format { kind: Kind, message_id: u16 },
}

/// Reads header and token.
///
/// # Errors
/// [`Fault`].
pub(super) fn head(datagram: &[u8]) -> Result<Head, Fault> {
    let [first, code, high, low, rest @ ..] = datagram else { return Err(Fault::Foreign) };
    if first >> 6 != VERSION {
        return Err(Fault::Foreign);
    }
    let kind = match (first >> 4) & 0b11 {
        0 => Kind::Confirmable,
        1 => Kind::NonConfirmable,
        2 => Kind::Acknowledgement,
        _ => Kind::Reset,
    };
    let message_id = u16::from_be_bytes([*high, *low]);
    let format = Fault::Format { kind, message_id };
    let token = rest.get(..usize::from(first & 0x0F)).and_then(Token::new).ok_or(format)?;
    let head = Head { kind, code: *code, message_id, token };
    if head.code == 0 && datagram.len() > HEADER_BYTES {
        // An empty message has no token, options or payload (section 4.1).
        return Err(format);
    }
    Ok(head)
}

/// How many bytes the options behind the head take, if they and the payload are well formed: no reserved lengths, nothing
/// cut off, no more than `options_max` options, and no payload marker without a payload.
pub(super) fn options_bytes(body: &[u8], options_max: usize) -> Option<usize> {
    let mut rest = body;
    let mut number: u16 = 0;
    for _ in 0..=options_max {
        let Some((first, behind)) = rest.split_first() else { return Some(body.len()) };
        if *first == PAYLOAD_MARKER {
            return (!behind.is_empty()).then_some(body.len() - rest.len());
        }
        let (delta, behind) = extended(first >> 4, behind)?;
        let (length, behind) = extended(first & 0x0F, behind)?;
        number = number.checked_add(delta)?;
        rest = behind.get(usize::from(length)..)?;
    }
    None
}

/// A delta or a length with its one or two further bytes (RFC 7252, section 3.1).
fn extended(nibble: u8, rest: &[u8]) -> Option<(u16, &[u8])> {
    match (nibble, rest) {
        (0..=12, _) => Some((nibble.into(), rest)),
        (13, [byte, rest @ ..]) => Some((u16::from(*byte) + 13, rest)),
        (14, [high, low, rest @ ..]) => Some((u16::from_be_bytes([*high, *low]).checked_add(269)?, rest)),
        _ => None,
    }
}
