//! SUBSCRIBE and UNSUBSCRIBE.

use bytestring::ByteString;

use super::Refusal;
use super::encode;
use super::reason::{Reason, Violation};
use super::topic;
use super::uplink::{Filter, QoS, Receipt, Subscribe, Unsubscribe, Uplink, Version};
use super::{Session, Waiting};

/// Marks the receipts of requests, which stand in no line.
const REQUEST: u64 = 1 << 48;

/// A request that somebody outside answers; the next frame is decoded after that.
#[derive(Debug)]
pub(super) struct Request {
    receipt: Receipt,
    packet_id: u16,
    /// One for each filter of the frame; `None` for those that are asked about outside.
    codes: Vec<Option<Reason>>,
}

impl Request {
    fn new(packet_id: u16, codes: Vec<Option<Reason>>) -> Box<Self> {
        Box::new(Self { receipt: Receipt(REQUEST | u64::from(packet_id)), packet_id, codes })
    }
}

impl Session {
    /// Offers the filters that can be subscribed to; the others are refused in their place of the SUBACK.
    pub(super) fn subscribe(
        &mut self,
        packet_id: u16,
        filters: Vec<Filter>,
    ) -> Result<Option<Uplink>, Violation> {
        self.check_count(filters.len())?;
        let codes: Vec<_> = filters.iter().map(|filter| self.refused_filter(&filter.filter)).collect();
        let filters: Vec<_> = filters
            .into_iter()
            .zip(&codes)
            .filter_map(|(filter, code)| code.is_none().then_some(filter))
            .collect();
        let request = Request::new(packet_id, codes);
        let receipt = request.receipt;
        self.waiting = Some(Waiting::Subscribe(request));
        if filters.is_empty() {
            self.handle_subscribed(receipt, &[]);
            return Ok(None);
        }
        Ok(Some(Uplink::Subscribe(Subscribe { receipt, filters })))
    }

    fn refused_filter(&self, filter: &str) -> Option<Reason> {
        if topic::is_shared(filter) {
            return Some(Reason::SharedNotSupported);
        }
        let valid = topic::is_filter(filter)
            && filter.len() <= self.limits.topic_bytes_max
            && topic::levels(filter) <= self.limits.topic_levels_max;
        (!valid).then_some(Reason::FilterInvalid)
    }

    fn check_count(&self, filters: usize) -> Result<(), Violation> {
        if filters > self.limits.filters_per_frame_max {
            return Err(Violation::new(Reason::QuotaExceeded, "more filters in a frame than the limit"));
        }
        Ok(())
    }

    /// Answers [`Uplink::Subscribe`], one answer a filter in the order of the filters: the QoS granted (at most 1 is)
    /// or why not. A missing answer is a refusal.
    pub fn handle_subscribed(&mut self, receipt: Receipt, answers: &[Result<QoS, Refusal>]) {
        let Some(Waiting::Subscribe(request)) = self.waiting.take_if(|waiting| waiting.is_for(receipt))
        else {
            return;
        };
        let v5 = self.version == Some(Version::V5);
        let refused = |reason: Reason| if v5 { reason.code() } else { 0x80 };
        let mut answers = answers.iter();
        let codes: Vec<u8> = request
            .codes
            .iter()
            .map(|code| match code.map_or_else(|| answers.next().copied(), |_| None) {
                Some(Ok(QoS::AtMostOnce)) => 0,
                Some(Ok(_)) => 1,
                Some(Err(refusal)) => refused(refusal.subscribe_reason()),
                None => refused(code.unwrap_or(Reason::Unspecified)),
            })
            .collect();
        self.reply_codes(encode::SUBACK, request.packet_id, &codes);
    }

    /// Offers the filters that could have been subscribed to.
    pub(super) fn unsubscribe(
        &mut self,
        packet_id: u16,
        filters: Vec<ByteString>,
    ) -> Result<Option<Uplink>, Violation> {
        self.check_count(filters.len())?;
        let codes: Vec<_> = filters.iter().map(|filter| self.refused_filter(filter)).collect();
        let filters: Vec<_> = filters
            .into_iter()
            .zip(&codes)
            .filter_map(|(filter, code)| code.is_none().then_some(filter))
            .collect();
        let request = Request::new(packet_id, codes);
        let receipt = request.receipt;
        self.waiting = Some(Waiting::Unsubscribe(request));
        if filters.is_empty() {
            self.handle_unsubscribed(receipt, &[]);
            return Ok(None);
        }
        Ok(Some(Uplink::Unsubscribe(Unsubscribe { receipt, filters })))
    }

    /// Answers [`Uplink::Unsubscribe`], one answer a filter in the order of the filters: whether there was such a
    /// subscription.
    pub fn handle_unsubscribed(&mut self, receipt: Receipt, existed: &[bool]) {
        let Some(Waiting::Unsubscribe(request)) = self.waiting.take_if(|waiting| waiting.is_for(receipt))
        else {
            return;
        };
        let mut existed = existed.iter();
        let code = |code: &Option<Reason>| match code {
            Some(Reason::SharedNotSupported) => Reason::NoSubscriptionExisted.code(),
            Some(reason) => reason.code(),
            None if existed.next() == Some(&true) => Reason::Success.code(),
            None => Reason::NoSubscriptionExisted.code(),
        };
        let codes: Vec<u8> = request.codes.iter().map(code).collect();
        let codes = if self.version == Some(Version::V5) { codes.as_slice() } else { &[] };
        self.reply_codes(encode::UNSUBACK, request.packet_id, codes);
    }

    fn reply_codes(&mut self, first: u8, packet_id: u16, codes: &[u8]) {
        let version = self.version.unwrap_or(Version::V311);
        self.reply(|out| encode::suback(out, first, version, packet_id, codes));
    }
}

impl Waiting {
    fn is_for(&self, receipt: Receipt) -> bool {
        match self {
            Self::Login { .. } => false,
            Self::Subscribe(request) | Self::Unsubscribe(request) => request.receipt == receipt,
        }
    }
}
