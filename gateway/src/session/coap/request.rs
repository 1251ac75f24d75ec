//! What a request asks for: its options and method, read once.

use std::{borrow::Cow, fmt, net::SocketAddr, rc::Rc};

use super::{answer::Answer, codec::Body, limits::Limits};
use crate::{clock::Millis, session::Refusal};

/// Numbers of the options that mean something here (RFC 7252, section 12.2; RFC 7959; RFC 7967).
pub(super) mod option {
    pub(in super::super) const URI_HOST: u16 = 3;
    pub(in super::super) const URI_PORT: u16 = 7;
    pub(in super::super) const URI_PATH: u16 = 11;
    pub(in super::super) const CONTENT_FORMAT: u16 = 12;
    pub(in super::super) const AGE: u16 = 14;
    pub(in super::super) const URI_QUERY: u16 = 15;
    pub(in super::super) const ACCEPT: u16 = 17;
    pub(in super::super) const BLOCK2: u16 = 23;
    pub(in super::super) const BLOCK1: u16 = 27;
    pub(in super::super) const PROXY_URI: u16 = 35;
    pub(in super::super) const PROXY_SCHEME: u16 = 39;
    pub(in super::super) const SIZE1: u16 = 60;
    pub(in super::super) const NO_RESPONSE: u16 = 258;
}

const GET: u8 = 1;
const POST: u8 = 2;
const PUT: u8 = 3;

/// Where a client finds what there is (RFC 6690).
const CORE_PATH: &str = ".well-known/core";

/// What begins the path of a reading of another device, sent on its behalf. Eclipse Hono's gateways use PUT there.
const ON_BEHALF: [&str; 4] = ["telemetry//", "t//", "event//", "e//"];

/// Names one request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receipt(pub(super) u64);

/// A reading that a device asks to have stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Names the request in the answer.
    pub receipt: Receipt,
    /// Who sent it, as far as an address says.
    pub peer: SocketAddr,
    /// When it came, on the clock of [`super::Endpoint::handle_datagram`].
    pub came_ms: Millis,
    /// The sender waits for an answer; otherwise it is best effort.
    pub is_confirmable: bool,
    /// Who asks, and where to.
    pub options: Rc<Options>,
    /// The payload as sent.
    pub payload: Vec<u8>,
}

/// What the options of a reading say. Requests with the same ones share it, once the first has proved who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// No other options of the same endpoint have this number.
    pub number: u64,
    /// The login's name: `user` in the query, else `device`.
    pub user: Option<String>,
    /// `device` in the query: the device itself, or a member of the group `user`.
    pub device: Option<String>,
    /// `token` in the query: the secret.
    pub token: Option<String>,
    /// The path's segments, joined by `/`.
    pub topic: String,
    /// The media type that the Content-Format stands for.
    pub content_type: Option<Cow<'static, str>>,
    /// See [`Wish::no_response`].
    pub(super) no_response: u8,
    /// What was sent.
    pub(super) sent: Sent,
}

/// Method and options as they were sent.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) method: u8,
    pub(super) bytes: Box<[u8]>,
}

impl fmt::Debug for Request {
    /// Leaves out the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("receipt", &self.receipt)
            .field("peer", &self.peer)
            .field("is_confirmable", &self.is_confirmable)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    /// Leaves out the secret, also as it was sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("device", &self.device)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// What the options say.
#[derive(Debug, Default)]
pub(super) struct Wish {
    path: Option<String>,
    pub(super) user: Option<String>,
    pub(super) device: Option<String>,
    pub(super) token: Option<String>,
    pub(super) content_format: Option<u32>,
    accept: Option<u32>,
    is_part: bool,
    /// Classes of responses that the client does not want (RFC 7967, section 2.1).
    pub(super) no_response: u8,
}

/// What is to be done about a well-formed request.
pub(super) enum Asked {
    /// A reading for this topic.
    Publish(String),
    /// An answer that needs nobody else.
    Answer(Answer),
}

impl Wish {
    /// Reads all options.
    ///
    /// # Errors
    /// The answer to a request with an option that must be understood and is not.
    pub(super) fn read(body: &Body, limits: &Limits) -> Result<Self, Answer> {
        let mut wish = Self::default();
        let mut last = 0;
        for (number, value) in body.options() {
            let is_repeated = number == last;
            last = number;
            wish.take(number, value, is_repeated, limits)?;
        }
        Ok(wish)
    }

    fn take(&mut self, number: u16, value: &[u8], is_repeated: bool, limits: &Limits) -> Result<(), Answer> {
        let is_single = !matches!(number, option::URI_PATH | option::URI_QUERY);
        if is_single && is_repeated {
            // The second of what may stand once counts as unknown (RFC 7252, section 5.4.5).
            return unknown(number);
        }
        match number {
            option::URI_PATH => return self.add_segment(value, limits),
            option::URI_QUERY => return self.add_query(value),
            option::CONTENT_FORMAT => self.content_format = uint(value, 2),
            option::ACCEPT => self.accept = Some(uint(value, 2).ok_or(Answer::BadOption)?),
            option::NO_RESPONSE => {
                self.no_response = value.first().copied().filter(|_| value.len() == 1).unwrap_or(0)
            }
            option::BLOCK1 => {
                // The first block, if there is no other, is the whole (RFC 7959, section 2.2).
                let block = uint(value, 3).ok_or(Answer::BadOption)?;
                self.is_part = block & 0x8 != 0 || block >> 4 != 0;
            }
            option::BLOCK2 => {
                // Every answer fits into a block of 64 bytes; smaller ones are not made.
                let block = uint(value, 3).ok_or(Answer::BadOption)?;
                if block >> 4 != 0 || !(2..=6).contains(&(block & 0x7)) {
                    return Err(Answer::BadOption);
                }
            }
            option::URI_HOST | option::URI_PORT | option::SIZE1 => {}
            option::PROXY_URI | option::PROXY_SCHEME => return Err(Answer::ProxyingNotSupported),
            _ => return unknown(number),
        }
        Ok(())
    }

    fn add_segment(&mut self, value: &[u8], limits: &Limits) -> Result<(), Answer> {
        let segment = str::from_utf8(value).map_err(|_| Answer::BadOption)?;
        if segment.contains('/') {
            // Levels of a topic are segments of a path: one cannot hide in the other.
            return Err(Answer::Refused(Refusal::TopicInvalid));
        }
        match &mut self.path {
            None => self.path = Some(segment.to_owned()),
            Some(path) => {
                path.push('/');
                path.push_str(segment);
            }
        }
        if self.path.as_ref().is_some_and(|path| path.len() > limits.topic_bytes_max) {
            return Err(Answer::Refused(Refusal::TopicInvalid));
        }
        Ok(())
    }

    fn add_query(&mut self, value: &[u8]) -> Result<(), Answer> {
        let query = str::from_utf8(value).map_err(|_| Answer::BadOption)?;
        let Some((name, value)) = query.split_once('=') else { return Ok(()) };
        let place = match name {
            "user" => &mut self.user,
            "device" => &mut self.device,
            "token" => &mut self.token,
            _ => return Ok(()),
        };
        if place.is_none() {
            *place = Some(value.to_owned());
        }
        Ok(())
    }

    /// What method and path mean.
    pub(super) fn asked(&mut self, method: u8) -> Asked {
        let path = self.path.take().unwrap_or_default();
        if path == CORE_PATH {
            return Asked::Answer(match (method, self.accept) {
                (GET, None) => Answer::Core,
                (GET, Some(format)) if format == u32::from(super::answer::LINK_FORMAT) => Answer::Core,
                (GET, Some(_)) => Answer::NotAcceptable,
                _ => Answer::MethodNotAllowed,
            });
        }
        let may_put = ON_BEHALF.iter().any(|begin| path.starts_with(begin));
        match method {
            _ if path.is_empty() => Asked::Answer(Answer::Refused(Refusal::PathUnknown)),
            POST | PUT if method == PUT && !may_put => Asked::Answer(Answer::MethodNotAllowed),
            POST | PUT if self.is_part => Asked::Answer(Answer::TooLarge),
            POST | PUT => Asked::Publish(path),
            _ => Asked::Answer(Answer::MethodNotAllowed),
        }
    }
}

/// Odd numbers are critical (RFC 7252, section 5.4.6); the others may be passed over.
fn unknown(number: u16) -> Result<(), Answer> {
    if number & 1 == 1 { Err(Answer::BadOption) } else { Ok(()) }
}

/// An unsigned integer of at most `bytes_max` bytes (RFC 7252, section 3.2).
fn uint(value: &[u8], bytes_max: usize) -> Option<u32> {
    (value.len() <= bytes_max).then(|| value.iter().fold(0, |uint, byte| uint << 8 | u32::from(*byte)))
}

/// The media type of a Content-Format (RFC 7252, section 12.3; RFC 8428, section 12.3); one without a word of its own
/// keeps its number.
pub(super) fn content_type(format: u32) -> Cow<'static, str> {
    match format {
        0 => "text/plain".into(),
        42 => "application/octet-stream".into(),
        50 => "application/json".into(),
        60 => "application/cbor".into(),
        110 => "application/senml+json".into(),
        112 => "application/senml+cbor".into(),
        other => format!("coap/{other}").into(),
    }
}
