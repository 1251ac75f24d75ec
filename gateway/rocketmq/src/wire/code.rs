//! Numbers of requests and answers (`RequestCode`, `ResponseCode` of the server).

/// Requests that this client makes or answers.
pub mod request {
    /// One message, short names of its fields.
    pub const SEND_MESSAGE_V2: i32 = 310;
    /// Several messages for one queue.
    pub const SEND_BATCH_MESSAGE: i32 = 320;
    /// Messages of a queue from an offset on.
    pub const PULL_MESSAGE: i32 = 11;
    /// How far a group came in a queue.
    pub const QUERY_CONSUMER_OFFSET: i32 = 14;
    /// Notes how far a group came in a queue.
    pub const UPDATE_CONSUMER_OFFSET: i32 = 15;
    /// The settings of a broker, as lines of text.
    pub const GET_BROKER_CONFIG: i32 = 26;
    /// The first offset at or after a time.
    pub const SEARCH_OFFSET_BY_TIMESTAMP: i32 = 29;
    /// The offset behind the last message of a queue.
    pub const GET_MAX_OFFSET: i32 = 30;
    /// The offset of the first message of a queue.
    pub const GET_MIN_OFFSET: i32 = 31;
    /// Says that a client lives, and what it produces and consumes.
    pub const HEART_BEAT: i32 = 34;
    /// A client goes.
    pub const UNREGISTER_CLIENT: i32 = 35;
    /// A message that could not be handled comes again later.
    pub const CONSUMER_SEND_MSG_BACK: i32 = 36;
    /// The members of a group.
    pub const GET_CONSUMER_LIST_BY_GROUP: i32 = 38;
    /// From the broker: the members of a group have changed.
    pub const NOTIFY_CONSUMER_IDS_CHANGED: i32 = 40;
    /// Locks queues for one member of a group that consumes in order.
    pub const LOCK_BATCH_MQ: i32 = 41;
    /// Gives locked queues back.
    pub const UNLOCK_BATCH_MQ: i32 = 42;
    /// Has the broker check a subscription before it is used.
    pub const CHECK_CLIENT_CONFIG: i32 = 46;
    /// Where a topic's queues are; of a name server.
    pub const GET_ROUTEINFO_BY_TOPIC: i32 = 105;
    /// All consumer groups of a broker.
    pub const GET_ALL_SUBSCRIPTIONGROUP_CONFIG: i32 = 201;
    /// Who consumes in a group, and with which subscriptions.
    pub const GET_CONSUMER_CONNECTION_LIST: i32 = 203;
}

/// Answers.
pub mod answer {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// Something failed; the remark says what.
    pub const SYSTEM_ERROR: i32 = 1;
    /// Too much to do.
    pub const SYSTEM_BUSY: i32 = 2;
    /// The server does not know this request.
    pub const REQUEST_CODE_NOT_SUPPORTED: i32 = 3;
    /// Stored, but the disk did not confirm in time.
    pub const FLUSH_DISK_TIMEOUT: i32 = 10;
    /// Stored, but there is no second broker to keep it too.
    pub const SLAVE_NOT_AVAILABLE: i32 = 11;
    /// Stored, but the second broker did not confirm in time.
    pub const FLUSH_SLAVE_TIMEOUT: i32 = 12;
    /// The message can never be taken.
    pub const MESSAGE_ILLEGAL: i32 = 13;
    /// The broker takes nothing now, for instance because its disk is full.
    pub const SERVICE_NOT_AVAILABLE: i32 = 14;
    /// Not allowed.
    pub const NO_PERMISSION: i32 = 16;
    /// No such topic.
    pub const TOPIC_NOT_EXIST: i32 = 17;
    /// Nothing there yet.
    pub const PULL_NOT_FOUND: i32 = 19;
    /// Nothing that the filter lets through; go on from the offset in the answer.
    pub const PULL_RETRY_IMMEDIATELY: i32 = 20;
    /// The offset is none of the queue's; go on from the one in the answer.
    pub const PULL_OFFSET_MOVED: i32 = 21;
    /// Nothing noted.
    pub const QUERY_NOT_FOUND: i32 = 22;
    /// The filter cannot be read.
    pub const SUBSCRIPTION_PARSE_FAILED: i32 = 23;
    /// No subscription.
    pub const SUBSCRIPTION_NOT_EXIST: i32 = 24;
    /// The broker knows an older subscription than this one.
    pub const SUBSCRIPTION_NOT_LATEST: i32 = 25;
    /// No such group.
    pub const SUBSCRIPTION_GROUP_NOT_EXIST: i32 = 26;
    /// A parameter is out of range, for instance the number of a queue.
    pub const INVALID_PARAMETER: i32 = 29;
    /// Nobody of the group is there.
    pub const CONSUMER_NOT_ONLINE: i32 = 206;
    /// The server goes down: connect elsewhere.
    pub const GO_AWAY: i32 = 1500;
}

/// What an answer's number means, in a word; for people.
#[must_use]
pub fn word(code: i32) -> &'static str {
    match code {
        answer::SUCCESS => "success",
        answer::SYSTEM_ERROR => "system error",
        answer::SYSTEM_BUSY => "busy",
        answer::REQUEST_CODE_NOT_SUPPORTED => "request not supported",
        answer::FLUSH_DISK_TIMEOUT => "flush disk timeout",
        answer::SLAVE_NOT_AVAILABLE => "slave not available",
        answer::FLUSH_SLAVE_TIMEOUT => "flush slave timeout",
        answer::MESSAGE_ILLEGAL => "message illegal",
        answer::SERVICE_NOT_AVAILABLE => "service not available",
        answer::NO_PERMISSION => "no permission",
        answer::TOPIC_NOT_EXIST => "topic does not exist",
        answer::SUBSCRIPTION_PARSE_FAILED => "filter cannot be read",
        answer::SUBSCRIPTION_NOT_EXIST => "no subscription",
        answer::SUBSCRIPTION_NOT_LATEST => "another subscription is in force",
        answer::SUBSCRIPTION_GROUP_NOT_EXIST => "group does not exist",
        answer::INVALID_PARAMETER => "invalid parameter",
        answer::CONSUMER_NOT_ONLINE => "no consumer is there",
        answer::GO_AWAY => "the server goes down",
        _ => "unknown answer",
    }
}
