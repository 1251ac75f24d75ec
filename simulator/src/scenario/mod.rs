//! A run of several kinds of sensors, as a TOML file says it.
//!
//! ```text
//! text -> keys, as they stand there -> groups, each with what `[defaults]` says where it says nothing -> Plan
//! ```
//!
//! What is wrong is told with its line and column, and unknown keys are refused.

mod fault;
mod keys;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

pub use fault::Fault;
use keys::{GroupKeys, Keys, ScenarioKeys};
use toml::Spanned;

use crate::{
    Error, Plan, Target,
    plan::{Group, Login, read_credentials},
};

/// Bytes in the largest scenario file.
pub const SCENARIO_BYTES_MAX: u64 = 1024 * 1024;

/// What the command line says beside a scenario.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Each stands in for the file's targets of its protocol.
    pub targets: Vec<Target>,
    /// Logins for the groups, where the file names no credentials.
    pub credentials: Option<PathBuf>,
    /// In place of the file's.
    pub seed: Option<u64>,
}

/// Reads the scenario at `path` into a plan; files that it names start at its own folder.
///
/// # Errors
/// [`Error::File`] when it cannot be read, [`Error::Scenario`] with every place that is wrong,
/// [`Error::Credentials`].
pub fn read(path: &Path, beside: &Beside) -> Result<Plan, Error> {
    let unreadable = |error: io::Error| Error::File { path: path.to_owned(), why: error.to_string() };
    let text = read_text(path).map_err(unreadable)?;
    let faulty = |faults| Error::Scenario { path: path.to_owned(), faults };
    let keys: ScenarioKeys = toml::from_str(&text).map_err(|error| faulty(vec![Fault::of(&text, &error)]))?;
    let mut reading =
        Reading { beside, folder: path.parent().unwrap_or(Path::new("")), stacks: HashMap::new() };
    let plan = reading.plan(&keys)?;
    let faults: Vec<_> = check(&keys, &plan).map(|(at, wrong)| Fault::new(&text, at.start, wrong)).collect();
    if faults.is_empty() { Ok(plan) } else { Err(faulty(faults)) }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(SCENARIO_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > SCENARIO_BYTES_MAX {
        let why = format!("larger than {SCENARIO_BYTES_MAX} bytes: is it a scenario?");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(text)
}

struct Reading<'a> {
    beside: &'a Beside,
    folder: &'a Path,
    /// Logins of each credentials file that no group has taken so far.
    stacks: HashMap<PathBuf, std::vec::IntoIter<Login>>,
}

impl Reading<'_> {
    fn plan(&mut self, keys: &ScenarioKeys) -> Result<Plan, Error> {
        let mut plan = Plan::new(Target::mqtt("127.0.0.1", 1883), 0);
        plan.duration = keys.duration.as_ref().map(|time| time.get_ref().0);
        plan.seed = self.beside.seed.or(keys.seed).unwrap_or(plan.seed);
        plan.connect_rate = keys.connect_rate.unwrap_or(plan.connect_rate);
        plan.settle_max = keys.settle.map_or(plan.settle_max, |time| time.0);
        let mut common = plan.clone();
        keys.defaults.apply_to(&mut common);
        for group in &keys.group {
            let group = self.group(group.get_ref(), &keys.defaults, &common, plan.devices)?;
            plan.devices = plan.devices.saturating_add(group.sensors.devices);
            plan.groups.push(group);
        }
        Ok(plan)
    }

    /// `before` devices are in the groups before it.
    fn group(
        &mut self,
        keys: &GroupKeys,
        defaults: &Keys,
        common: &Plan,
        before: u32,
    ) -> Result<Group, Error> {
        let mut sensors = common.clone();
        keys.apply_to(&mut sensors);
        sensors.devices = *keys.devices.get_ref();
        sensors.first = keys.start_number.unwrap_or(before.saturating_add(1));
        for target in &mut sensors.targets {
            if let Some(other) = self.beside.targets.iter().find(|other| other.protocol == target.protocol) {
                *target = Target { weight: target.weight, ..other.clone() };
            }
        }
        let named = keys.credentials.as_ref().or(defaults.credentials.as_ref());
        let file = named.map(|named| self.folder.join(named)).or_else(|| self.beside.credentials.clone());
        sensors.credentials = file.map(|file| self.logins(file, sensors.devices)).transpose()?;
        let start = keys.start.as_ref().map_or(Duration::ZERO, |time| time.get_ref().0);
        let end = keys.end.as_ref().map(|time| time.get_ref().0).or(common.duration);
        sensors.duration = end.map(|end| end.saturating_sub(start));
        Ok(Group { name: keys.name.clone(), start, sensors })
    }

    /// The next logins of `file` that no group before has taken.
    fn logins(&mut self, file: PathBuf, devices: u32) -> Result<Vec<Login>, Error> {
        if !self.stacks.contains_key(&file) {
            self.stacks.insert(file.clone(), read_credentials(&file)?.into_iter());
        }
        let count = usize::try_from(devices).unwrap_or(usize::MAX);
        Ok(self.stacks.get_mut(&file).map_or_else(Vec::new, |stack| stack.take(count).collect()))
    }
}

/// What is wrong with values that are right for themselves.
fn check<'a>(keys: &'a ScenarioKeys, plan: &'a Plan) -> impl Iterator<Item = (Range<usize>, String)> + 'a {
    let whole = plan.check_groups().err().map(|error| (0..0, error.to_string()));
    let groups = keys.group.iter().zip(&plan.groups).flat_map(|(keys, group)| check_group(keys, group, plan));
    groups.chain(whole)
}

fn check_group(keys: &Spanned<GroupKeys>, group: &Group, plan: &Plan) -> Vec<(Range<usize>, String)> {
    let mut wrong = Vec::new();
    let GroupKeys { start, end, .. } = keys.get_ref();
    let run = plan.duration.unwrap_or(Duration::MAX);
    if let Some(end) = end
        && (end.get_ref().0 <= group.start || end.get_ref().0 > run)
    {
        wrong.push((end.span(), "`end` lies between `start` and the run's `duration`".to_owned()));
    } else if let Some(start) = start
        && group.start >= run
    {
        wrong.push((start.span(), "`start` lies before the run's `duration`".to_owned()));
    }
    if let Err(error) = group.sensors.check() {
        // It names the command line's flags, which are the file's keys.
        wrong.push((keys.span(), format!("group {:?}: {error}", group.name)));
    }
    wrong
}

#[cfg(test)]
mod tests;
