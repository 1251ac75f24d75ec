/// What an endpoint did since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests, repetitions included.
    pub requests: u64,
    /// Repetitions of a request that was seen before.
    pub duplicates: u64,
    /// Datagrams that are no CoAP, or are not allowed in it.
    pub malformed: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Pings.
    pub pings: u64,
    /// Requests acknowledged before their answer was known.
    pub separate: u64,
    /// Answers sent once more.
    pub retransmitted: u64,
    /// Answers that nobody acknowledged.
    pub given_up: u64,
    /// Answers dropped because the kernel took none for too long.
    pub dropped: u64,
}
