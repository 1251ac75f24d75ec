//! One queue of ours: lock, pull, hand on one message after the other, note how far.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    Delivery, Event, Model, Offsets, Outcome, Settings, Start,
    ask::{self, AskError, PullAs, Pulled},
    member::Routes,
};
use crate::{
    client::Client,
    wire::{code::answer, route::Queue, stored::Stored},
};

/// How long a lock is good before it is asked for again.
const LOCK_GOOD: Duration = Duration::from_secs(20);
/// How long the broker keeps a lock that is not asked for again (`rocketmq.broker.rebalance.lockMaxLiveTime`).
const LOCK_LIFE: Duration = Duration::from_secs(60);
/// How long to wait for a queue that another member has still.
const LOCK_AGAIN: Duration = Duration::from_millis(500);
/// The wait behind an error.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest wait between two tries of one message.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);
/// The broker has no filter of this group, or an older one (`ResponseCode` of the server).
const FILTER_UNKNOWN: [i32; 2] = [27, 28];
/// How often it is noted how far the group came.
const COMMIT_EVERY: Duration = Duration::from_secs(2);

/// What all queues of a member share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) client: Client,
    pub(super) routes: Routes,
    pub(super) offsets: Offsets,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) noted: FirstNotes,
}

/// The topics by broker of which one queue's offset is noted. The server loses the offset of a queue when two first
/// ones of a topic and group come at once (`ConsumerOffsetManager.commitOffset`: each makes the table, the later one
/// stays), so the first is sent alone.
#[derive(Default)]
pub(super) struct FirstNotes(Mutex<BTreeSet<(String, Arc<str>)>>);

impl FirstNotes {
    /// Runs `note`, alone while none went well; whether it did.
    async fn note(&self, topic: &str, broker: &Arc<str>, note: impl Future<Output = bool>) -> bool {
        let mut noted = self.0.lock().await;
        let key = (topic.to_owned(), Arc::clone(broker));
        if noted.contains(&key) {
            drop(noted);
            return note.await;
        }
        let is_noted = note.await;
        if is_noted {
            noted.insert(key);
        }
        is_noted
    }
}

/// A queue that is ours until `leave` says otherwise.
pub(super) struct QueueTask {
    pub(super) shared: Arc<Shared>,
    pub(super) topic: String,
    pub(super) queue: Queue,
    pub(super) leave: watch::Receiver<bool>,
}

/// The queue is to be given up, or the program is gone.
struct Leaving;

/// How far it came.
struct Progress {
    next: u64,
    noted: u64,
    noted_at: Instant,
}

impl QueueTask {
    pub(super) async fn run(mut self) {
        let mut locked_at = None;
        let mut progress = None;
        // Ends when the queue is given up.
        let Err(Leaving) = self.work(&mut locked_at, &mut progress).await;
        // Of a queue that is another's by now nothing is known here.
        if self.shared.settings.has_locks() && locked_at.is_none() {
            return;
        }
        if let Some(progress) = &mut progress {
            self.note(progress).await;
        }
        if locked_at.is_some()
            && let Some(address) = self.address()
        {
            let Shared { client, settings, .. } = &*self.shared;
            // A lock that is not given back ends by itself.
            let _unlocked = ask::unlock(client, &address, settings, &self.topic, &self.queue).await.is_ok();
        }
    }

    fn address(&self) -> Option<String> {
        self.shared.routes.master(&self.topic, &self.queue.broker)
    }

    async fn work(
        &mut self,
        locked_at: &mut Option<Instant>,
        progress: &mut Option<Progress>,
    ) -> Result<std::convert::Infallible, Leaving> {
        loop {
            let _is_ours = self.lock(locked_at).await?;
            // How far another came meanwhile is not undone.
            *progress = None;
            let begin = self.begin().await?;
            self.tell(Event::Taken).await?;
            let begun = Progress { next: begin, noted: begin, noted_at: Instant::now() };
            self.work_while_ours(locked_at, progress.insert(begun)).await?;
        }
    }

    /// Returns when the queue may have been another's since the last message.
    async fn work_while_ours(
        &mut self,
        locked_at: &mut Option<Instant>,
        progress: &mut Progress,
    ) -> Result<(), Leaving> {
        loop {
            if !self.lock(locked_at).await? {
                return Ok(());
            }
            match self.pull(progress).await? {
                Ok(Pulled::Messages(messages, next)) => {
                    for message in messages {
                        if message.queue_offset < progress.next {
                            continue;
                        }
                        let behind = message.queue_offset.saturating_add(1);
                        if self.shared.settings.expression(&self.topic).wants(message.tag()) {
                            if !self.lock(locked_at).await? {
                                return Ok(());
                            }
                            self.handle(Arc::new(message)).await?;
                        }
                        progress.next = behind;
                        self.note_when_due(progress).await;
                    }
                    progress.next = progress.next.max(next);
                }
                Ok(Pulled::Nothing(next)) => progress.next = progress.next.max(next),
                Ok(Pulled::Moved(next)) => {
                    let (from, topic, id) = (progress.next, &self.topic, self.queue.id);
                    let trouble =
                        format!("queue {id} of {topic} has no message {from}; the broker says {next}");
                    self.tell(Event::Trouble(trouble)).await?;
                    progress.next = next;
                }
                Err(error) => self.complain(&error).await?,
            }
            self.note_when_due(progress).await;
        }
    }

    /// Waits until the queue is ours, where members lock; whether it was ours all the time since it last was.
    async fn lock(&mut self, locked_at: &mut Option<Instant>) -> Result<bool, Leaving> {
        if !self.shared.settings.has_locks() || locked_at.is_some_and(|at| at.elapsed() < LOCK_GOOD) {
            return Ok(true);
        }
        loop {
            if self.is_leaving() {
                return Err(Leaving);
            }
            let Some(address) = self.address() else {
                self.wait(AGAIN).await?;
                continue;
            };
            let Shared { client, settings, .. } = &*self.shared;
            let asked_at = Instant::now();
            match ask::lock(client, &address, settings, &self.topic, &self.queue).await {
                Ok(true) => {
                    let before = locked_at.replace(asked_at);
                    return Ok(before.is_some_and(|at| at.elapsed() < LOCK_LIFE));
                }
                Ok(false) => {
                    *locked_at = None;
                    self.wait(LOCK_AGAIN).await?;
                }
                Err(error) => self.complain(&error).await?,
            }
        }
    }

    /// Where to begin: where the group is, or this member, or at an end.
    async fn begin(&mut self) -> Result<u64, Leaving> {
        loop {
            match self.try_begin().await {
                Some(Ok(offset)) => return Ok(offset),
                Some(Err(error)) => self.complain(&error).await?,
                None => self.wait(AGAIN).await?,
            }
        }
    }

    async fn try_begin(&self) -> Option<Result<u64, AskError>> {
        let address = self.address()?;
        let Shared { client, settings, offsets, .. } = &*self.shared;
        let (topic, queue) = (&self.topic, &self.queue);
        let known = match settings.model {
            Model::Share => ask::committed(client, &address, &settings.group, topic, queue).await,
            Model::Broadcast => Ok(offsets.get(topic, queue)),
        };
        let is_own = settings.subscriptions.iter().any(|subscription| subscription.topic == *topic);
        let start = if is_own { settings.start } else { Start::First };
        Some(match known {
            Ok(Some(offset)) => Ok(offset),
            Ok(None) => ask::end(client, &address, topic, queue, start).await,
            Err(error) => Err(error),
        })
    }

    /// The next messages. While there are none, it is noted how far it came.
    async fn pull(&mut self, progress: &mut Progress) -> Result<Result<Pulled, AskError>, Leaving> {
        let Some(address) = self.address() else {
            self.wait(AGAIN).await?;
            return Ok(Ok(Pulled::Nothing(progress.next)));
        };
        let mut leave = self.leave.clone();
        let Shared { client, settings, .. } = &*self.shared;
        let expression = settings.expression(&self.topic);
        let pull_as = PullAs {
            group: &settings.group,
            text: expression.text(),
            kind: expression.kind(),
            version_ms: settings.version_ms,
            is_inline: false,
        };
        let pull = ask::pull(client, &address, &pull_as, &self.topic, &self.queue, progress.next);
        let mut pull = std::pin::pin!(pull);
        loop {
            tokio::select! {
                pulled = &mut pull => return Ok(pulled),
                () = asked_to(&mut leave) => return Err(Leaving),
                () = tokio::time::sleep(COMMIT_EVERY), if progress.next != progress.noted => {
                    self.note(progress).await;
                }
            }
        }
    }

    /// Hands a message on until it is settled for good.
    async fn handle(&mut self, message: Arc<Stored>) -> Result<(), Leaving> {
        let (retry_max, mut wait) = (self.shared.settings.retry_max, self.shared.settings.retry_wait);
        let mut failures = 0;
        loop {
            match self.hand_on(&message, failures).await? {
                None => self.wait(AGAIN).await?,
                Some(Outcome::Done) => return Ok(()),
                Some(Outcome::Failed) if self.shared.settings.has_retry_topic() => {
                    if self.send_back(&message, false).await {
                        return Ok(());
                    }
                    self.wait(AGAIN).await?;
                }
                Some(Outcome::Failed) if failures < retry_max => {
                    failures += 1;
                    self.wait(wait).await?;
                    wait = wait.saturating_mul(2).min(RETRY_WAIT_MAX);
                }
                Some(Outcome::Failed) => {
                    self.give_up(&message).await?;
                    return Ok(());
                }
            }
        }
    }

    /// None when the program has dropped it without a word.
    async fn hand_on(&mut self, message: &Arc<Stored>, failures: u32) -> Result<Option<Outcome>, Leaving> {
        let (settle, settled) = oneshot::channel();
        let delivery = Delivery { message: Arc::clone(message), topic: self.topic.clone(), failures, settle };
        self.tell(Event::Message(delivery)).await?;
        tokio::select! {
            biased;
            outcome = settled => Ok(outcome.ok()),
            // Nobody is there any more to settle it.
            () = self.shared.events.closed() => Err(Leaving),
        }
    }

    /// To the dead letters; with [`Model::Broadcast`] there are none.
    async fn give_up(&mut self, message: &Arc<Stored>) -> Result<(), Leaving> {
        if self.shared.settings.model == Model::Share {
            while !self.send_back(message, true).await {
                self.wait(AGAIN).await?;
            }
        }
        self.tell(Event::GivenUp(Arc::clone(message))).await
    }

    async fn send_back(&mut self, message: &Stored, dead: bool) -> bool {
        let Some(address) = self.address() else { return false };
        let Shared { client, settings, .. } = &*self.shared;
        match ask::send_back(client, &address, settings, message, dead).await {
            Ok(()) => true,
            Err(error) => {
                let _leaving = self.tell(Event::Trouble(error.to_string())).await.is_err();
                false
            }
        }
    }

    async fn note_when_due(&self, progress: &mut Progress) {
        if progress.noted_at.elapsed() >= COMMIT_EVERY {
            self.note(progress).await;
        }
    }

    /// Notes how far it came; a failure is made good by the next time.
    async fn note(&self, progress: &mut Progress) {
        progress.noted_at = Instant::now();
        if progress.next == progress.noted {
            return;
        }
        let Shared { client, settings, offsets, noted, .. } = &*self.shared;
        let is_noted = match settings.model {
            Model::Broadcast => {
                offsets.set(&self.topic, &self.queue, progress.next);
                true
            }
            Model::Share => match self.address() {
                Some(address) => {
                    let (group, topic, queue) = (&settings.group, &self.topic, &self.queue);
                    let commit = ask::commit(client, &address, group, topic, queue, progress.next);
                    noted.note(topic, &queue.broker, async { commit.await.is_ok() }).await
                }
                None => false,
            },
        };
        if is_noted {
            progress.noted = progress.next;
        }
    }

    async fn complain(&mut self, error: &AskError) -> Result<(), Leaving> {
        let is_unknown = [answer::SUBSCRIPTION_NOT_EXIST, answer::SUBSCRIPTION_NOT_LATEST];
        if error.code().is_some_and(|code| is_unknown.contains(&code) || FILTER_UNKNOWN.contains(&code))
            && let Some(address) = self.address()
        {
            // The broker is back and has forgotten us.
            let _told = ask::heartbeat(&self.shared.client, &address, &self.shared.settings).await.is_ok();
        } else {
            self.tell(Event::Trouble(error.to_string())).await?;
        }
        self.wait(AGAIN).await
    }

    async fn tell(&mut self, event: Event) -> Result<(), Leaving> {
        tokio::select! {
            sent = self.shared.events.send(event) => sent.map_err(|_| Leaving),
            _ = self.leave.wait_for(|leave| *leave) => Err(Leaving),
        }
    }

    async fn wait(&mut self, time: Duration) -> Result<(), Leaving> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            _ = self.leave.wait_for(|leave| *leave) => Err(Leaving),
        }
    }

    fn is_leaving(&self) -> bool {
        *self.leave.borrow() || self.leave.has_changed().is_err()
    }
}

/// Returns when the queue is to be given up, or nobody is there to say so.
async fn asked_to(leave: &mut watch::Receiver<bool>) {
    drop(leave.wait_for(|leave| *leave).await);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Notes for `count` queues at once; the most that were on their way at the same time.
    async fn at_once(notes: &Arc<FirstNotes>, count: usize, goes_well: bool) -> usize {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let all = (0..count).map(|_| {
            let (notes, running, most) = (Arc::clone(notes), Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(async move {
                let note = async {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    goes_well
                };
                assert_eq!(notes.note("t", &"broker-a".into(), note).await, goes_well);
            })
        });
        for task in all.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        most.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn the_first_offset_of_a_topic_is_sent_alone() {
        let notes = Arc::default();
        assert_eq!(at_once(&notes, 8, false).await, 1, "none went well");
        assert_eq!(at_once(&notes, 8, true).await, 7, "the first alone, then the others");
        assert_eq!(at_once(&notes, 8, true).await, 8);
        let other = "broker-b".into();
        let endless = notes.note("t", &other, std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(20), endless).await.is_err());
        assert_eq!(at_once(&notes, 8, true).await, 8, "who gives up keeps nobody");
    }
}
