use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    PREFIX,
    arm::Arm,
    process::{self, Process},
};
use crate::{
    Error, Plan, Target,
    plan::{self, AuditPlan},
};

const PROGRAM: &str = "tidegate";
const BUILD: &str = "tidegate is neither beside the simulator nor in PATH; build it: `cargo build --release --workspace`, or name it: \
     --gateway PATH";

/// A gateway as `tidegate quickstart` makes it, in `dir`.
pub(super) async fn start(program: &Path, dir: &Path, template: &Plan) -> Result<Arm, Error> {
    let dir = dir.join("gateway");
    let port = process::free_port()?;
    let [coap, http] = [process::free_port()?, process::free_port()?].map(|port| port.to_string());
    let text = port.to_string();
    let mut quickstart = Command::new(program);
    quickstart.arg("quickstart").arg(&dir).args([
        "--mqtt-port",
        &text,
        "--coap-port",
        &coap,
        "--http-port",
        &http,
    ]);
    process::run(&mut quickstart)?;
    let configuration = dir.join("tidegate.toml").display().to_string();
    let credentials = dir.join("credentials.csv");
    let mut add = Command::new(program);
    add.args([
        "device",
        "-c",
        &configuration,
        "add",
        "--count",
        &template.devices.to_string(),
        "--prefix",
        PREFIX,
    ]);
    process::run(add.arg("--out").arg(&credentials))?;
    let edge = Process::start(program, &["run", "-c", &configuration], dir.join("log"), port).await?;
    Ok(Arm {
        name: PROGRAM,
        version: process::run(Command::new(program).arg("--version"))?.trim().to_owned(),
        program: program.to_owned(),
        configuration: vec![
            "as `tidegate quickstart` makes it; its file output is the destination".to_owned(),
        ],
        edge,
        plan: Plan {
            targets: vec![Target::mqtt("127.0.0.1", port)],
            credentials: Some(plan::read_credentials(&credentials)?),
            audit: Some(AuditPlan { wait_max: super::AUDIT_WAIT, ..AuditPlan::new(dir.join("out")) }),
            ..template.clone()
        },
        behind: None,
    })
}

/// Where it is.
pub(super) fn program(named: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(named) = named {
        return if named.is_file() {
            Ok(named.to_owned())
        } else {
            Err(Error::Baseline(format!("--gateway {}: there is no such program", named.display())))
        };
    }
    let beside =
        env::current_exe().ok().map(|ours| ours.with_file_name(PROGRAM)).filter(|path| path.is_file());
    beside.or_else(|| process::find(PROGRAM)).ok_or_else(|| Error::Baseline(BUILD.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_told_so() {
        let error = program(Some(Path::new("/nonexistent/tidegate"))).unwrap_err().to_string();
        assert!(error.contains("--gateway /nonexistent/tidegate"), "{error}");
    }
}
