//! The member itself: joins, says that it lives, shares the queues with the others, leaves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use super::{
    Event, Expression, Model, Offsets, Settings, StartError,
    allocate::share,
    ask::{self, AskError},
    queue::{FirstNotes, QueueTask, Shared},
};
use crate::{
    NameServers, RouteError,
    client::{Client, Incoming},
    wire::{
        code::{answer, request},
        route::{Queue, Route},
    },
};

/// How often a member says that it lives: the broker forgets it after two minutes.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How often the queues are shared anew, beside whenever the broker says that members came or went.
const SHARE: Duration = Duration::from_secs(20);
/// The wait before the queues are shared after the broker said so: members come in groups.
const GATHER: Duration = Duration::from_millis(200);

/// The wait before the queues are shared again when it could not be done, or not yet.
const AGAIN: Duration = Duration::from_secs(1);
/// How often offsets that are remembered here are written.
const SAVE: Duration = Duration::from_secs(5);

/// What a broker says who is asked for the members of a group that is not there.
const NO_GROUP: &str = "no consumer for this group";

/// Where the queues of the topics are, for all tasks of a member.
#[derive(Clone, Default)]
pub(super) struct Routes(Arc<RwLock<BTreeMap<String, Route>>>);

impl Routes {
    pub(super) fn master(&self, topic: &str, broker: &str) -> Option<String> {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        routes.get(topic)?.master(broker).map(str::to_owned)
    }

    fn queues(&self, topic: &str) -> Vec<Queue> {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut queues = routes.get(topic).map(Route::read_queues).unwrap_or_default();
        queues.sort();
        queues
    }

    /// The masters of all brokers.
    fn masters(&self) -> BTreeSet<String> {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_route = |route: &Route| -> Vec<String> {
            route.brokers().filter_map(|(broker, _)| route.master(broker).map(str::to_owned)).collect()
        };
        routes.values().flat_map(of_route).collect()
    }

    /// The masters of the brokers of `topic`.
    fn masters_of(&self, topic: &str) -> Vec<String> {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(route) = routes.get(topic) else { return Vec::new() };
        route.brokers().filter_map(|(broker, _)| route.master(broker).map(str::to_owned)).collect()
    }

    /// The cluster of any broker.
    fn cluster(&self) -> String {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = routes.values().flat_map(Route::brokers).next();
        first.map(|(_, cluster)| cluster.to_owned()).unwrap_or_default()
    }

    fn put(&self, topic: &str, route: Route) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), route);
    }
}

struct Running {
    leave: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What a member does next.
enum Turn {
    Beat,
    Share,
    Save,
    Answer(Incoming),
}

/// A member that has joined.
pub(super) struct Member {
    shared: Arc<Shared>,
    name_servers: NameServers,
    queues: HashMap<(String, Queue), Running>,
    /// Queues that were given up, while what is in hand is settled.
    leaving: HashMap<(String, Queue), JoinHandle<()>>,
    stopping: watch::Receiver<bool>,
    told: Option<(usize, usize)>,
}

impl Member {
    pub(super) async fn join(
        settings: Settings,
        client: Client,
        name_servers: NameServers,
        events: mpsc::Sender<Event>,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let offsets = Offsets::open(settings.offsets.as_deref()).map_err(|error| StartError::Offsets {
            path: settings.offsets.clone().unwrap_or_default(),
            reason: error.to_string(),
        })?;
        let (routes, noted) = (Routes::default(), FirstNotes::default());
        let shared = Shared { settings, client, routes, offsets, events, noted };
        let (queues, leaving) = (HashMap::new(), HashMap::new());
        let shared = Arc::new(shared);
        let member = Self { shared, name_servers, queues, leaving, stopping, told: None };
        for subscription in &member.shared.settings.subscriptions {
            let route = member.name_servers.route(&subscription.topic).await?;
            member.shared.routes.put(&subscription.topic, route);
        }
        member.check().await?;
        member.beat_all().await?;
        Ok(member)
    }

    /// That there is such a group: the broker passes over in silence who joins one that is not there.
    pub(super) async fn check_group(&self, name_server: &str) -> Result<(), StartError> {
        let Shared { settings, client, routes, .. } = &*self.shared;
        for address in routes.masters() {
            match ask::members(client, &address, &settings.group).await {
                Err(AskError::Refused { remark, .. }) if remark.contains(NO_GROUP) => {
                    return Err(StartError::NoGroup {
                        group: settings.group.clone(),
                        name_server: name_server.to_owned(),
                        cluster: routes.cluster(),
                    });
                }
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Takes the first queues.
    pub(super) async fn begin(mut self) -> Self {
        self.share_queues().await;
        self
    }

    /// That the broker takes the subscription, and that nobody in the group has another.
    async fn check(&self) -> Result<(), StartError> {
        let Shared { settings, client, routes, .. } = &*self.shared;
        for subscription in &settings.subscriptions {
            if !matches!(subscription.expression, Expression::Sql(_)) {
                continue;
            }
            for address in routes.masters_of(&subscription.topic) {
                match ask::check(client, &address, settings, subscription).await {
                    Err(AskError::Refused { remark, code, .. })
                        if code != answer::REQUEST_CODE_NOT_SUPPORTED =>
                    {
                        return Err(StartError::Filter(remark));
                    }
                    // Servers of 4.x that do not know the question say so at the first pull.
                    Err(AskError::Refused { .. }) | Ok(()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for address in routes.masters() {
            if let Some(difference) = self.difference(&address).await? {
                return Err(StartError::Different { group: settings.group.clone(), difference });
            }
        }
        Ok(())
    }

    /// What others in the group do that this member does not. Who may not ask finds out nothing.
    async fn difference(&self, address: &str) -> Result<Option<String>, StartError> {
        let Shared { settings, client, .. } = &*self.shared;
        match ask::connections(client, address, &settings.group).await {
            Ok(others) => Ok(settings.difference(&others)),
            Err(AskError::Refused { .. } | AskError::Unreadable(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says to all brokers that this member lives.
    async fn beat_all(&self) -> Result<(), StartError> {
        let Shared { settings, client, routes, .. } = &*self.shared;
        for address in routes.masters() {
            ask::heartbeat(client, &address, settings).await?;
        }
        Ok(())
    }

    pub(super) async fn run(mut self, mut incoming: mpsc::Receiver<Incoming>) {
        let mut beat = every(HEARTBEAT);
        let mut share = every(SHARE);
        let mut save = every(SAVE);
        let mut stopping = self.stopping.clone();
        let events = self.shared.events.clone();
        loop {
            let turn = tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => break,
                () = events.closed() => break,
                _ = beat.tick() => Turn::Beat,
                _ = share.tick() => Turn::Share,
                _ = save.tick() => Turn::Save,
                asked = incoming.recv() => match asked {
                    Some(asked) => Turn::Answer(asked),
                    None => break,
                },
            };
            match turn {
                Turn::Beat => self.beat().await,
                Turn::Share => {
                    if !self.refresh().await {
                        share.reset_after(AGAIN);
                    }
                }
                Turn::Save => self.save().await,
                Turn::Answer(asked) => {
                    if answer_broker(&asked).await {
                        share.reset_after(GATHER);
                    }
                }
            }
        }
        drop(events);
        self.leave().await;
    }

    async fn beat(&self) {
        if let Err(error) = self.beat_all().await {
            self.tell(Event::Trouble(error.to_string())).await;
        }
        let (settings, routes) = (&self.shared.settings, &self.shared.routes);
        for address in routes.masters() {
            if let Ok(Some(difference)) = self.difference(&address).await {
                let group = &settings.group;
                self.tell(Event::Trouble(format!(
                    "another member of group {group} does something else, and one of the two misses messages: {difference}"
                )))
                .await;
            }
        }
    }

    /// Looks where the queues are, and shares them; whether that could be done.
    async fn refresh(&mut self) -> bool {
        let topics: Vec<String> =
            self.shared.settings.all_subscriptions().into_iter().map(|one| one.topic).collect();
        let before = self.shared.routes.masters();
        for topic in topics {
            match self.name_servers.route(&topic).await {
                Ok(route) => self.shared.routes.put(&topic, route),
                // What comes again has no topic before something comes again.
                Err(RouteError::NoTopic(_)) if self.shared.settings.has_retry_topic() => {}
                Err(error) => self.tell(Event::Trouble(error.to_string())).await,
            }
        }
        // A broker that is new to us, or back, does not know us.
        if self.shared.routes.masters() != before {
            self.beat().await;
        }
        self.share_queues().await
    }

    /// Takes the queues that are this member's and gives up the others; whether that could be done.
    async fn share_queues(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut wanted = BTreeSet::new();
        let mut most = 0;
        for subscription in shared.settings.all_subscriptions() {
            let topic = subscription.topic;
            let queues = shared.routes.queues(&topic);
            if queues.is_empty() {
                continue;
            }
            let own = match shared.settings.model {
                Model::Broadcast => queues,
                Model::Share => {
                    let Some(members) = self.members(&topic).await else { return false };
                    most = most.max(members.len());
                    share(&queues, &members, &shared.settings.client_id).to_vec()
                }
            };
            wanted.extend(own.into_iter().map(|queue| (topic.clone(), queue)));
        }
        self.give_up_others(&wanted);
        let count = wanted.len();
        let mut is_done = true;
        for (topic, queue) in wanted {
            is_done &= self.take(topic, queue);
        }
        let assigned = (count, most.max(1));
        if self.told.replace(assigned) != Some(assigned) {
            self.tell(Event::Assigned { queues: assigned.0, members: assigned.1 }).await;
        }
        is_done
    }

    /// The members of the group; none while no broker says it, or does not know of this one yet.
    async fn members(&self, topic: &str) -> Option<Vec<String>> {
        let Shared { settings, client, routes, .. } = &*self.shared;
        let mut trouble = None;
        for address in routes.masters_of(topic) {
            match ask::members(client, &address, &settings.group).await {
                Ok(members) if members.contains(&settings.client_id) => return Some(members),
                Ok(_) => {
                    // It has forgotten us, or is new.
                    if let Err(error) = ask::heartbeat(client, &address, settings).await {
                        trouble = Some(error.to_string());
                    }
                }
                Err(error) => trouble = Some(error.to_string()),
            }
        }
        if let Some(trouble) = trouble {
            self.tell(Event::Trouble(trouble)).await;
        }
        None
    }

    /// Gives up queues that others have from here on, and those whose task has ended.
    fn give_up_others(&mut self, wanted: &BTreeSet<(String, Queue)>) {
        let gone: Vec<_> = self
            .queues
            .iter()
            .filter(|(key, running)| !wanted.contains(*key) || running.task.is_finished())
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            if let Some(running) = self.queues.remove(&key) {
                running.leave.send_replace(true);
                self.leaving.insert(key, running.task);
            }
        }
    }

    /// Takes a queue, unless it was given up and a message of it is still being handled.
    fn take(&mut self, topic: String, queue: Queue) -> bool {
        let key = (topic.clone(), queue.clone());
        self.leaving.retain(|_, task| !task.is_finished());
        if self.leaving.contains_key(&key) {
            return false;
        }
        if self.queues.contains_key(&key) {
            return true;
        }
        let (leave, leaving) = watch::channel(false);
        let task = QueueTask { shared: Arc::clone(&self.shared), topic, queue, leave: leaving };
        self.queues.insert(key, Running { leave, task: tokio::spawn(task.run()) });
        true
    }

    async fn tell(&self, event: Event) {
        // Nobody who does not listen is waited for: the queues hold messages, this is only news.
        let _told = self.shared.events.try_send(event).is_ok();
    }

    async fn save(&self) {
        if let Err(error) = self.shared.offsets.save() {
            self.tell(Event::Trouble(format!("the offsets cannot be written: {error}"))).await;
        }
    }

    async fn leave(mut self) {
        for running in self.queues.values() {
            running.leave.send_replace(true);
        }
        let running = self.queues.drain().map(|(_, running)| running.task);
        for task in running.chain(self.leaving.drain().map(|(_, task)| task)) {
            // It notes how far it came and gives its lock back.
            let _ended = task.await.is_ok();
        }
        self.save().await;
        let Shared { settings, client, routes, .. } = &*self.shared;
        for address in routes.masters() {
            // The broker forgets who does not say goodbye, too.
            let _gone = ask::unregister(client, &address, settings).await.is_ok();
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Whether the broker says that members came or went. What it asks beside that is nothing we know.
async fn answer_broker(asked: &Incoming) -> bool {
    if asked.command.code == request::NOTIFY_CONSUMER_IDS_CHANGED {
        return true;
    }
    if !asked.command.is_one_way() {
        let answer = asked.command.answer(answer::REQUEST_CODE_NOT_SUPPORTED);
        // It asks again if it has to know.
        let _told = asked.connection.tell(&answer).await.is_ok();
    }
    false
}
