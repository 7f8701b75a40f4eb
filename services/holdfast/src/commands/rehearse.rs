//! `holdfast rehearse`: plays a scenario, and says what became of it.

mod reserved;

use std::path::Path;
use std::process::ExitCode;

use holdfast_config::Mesh;
use holdfast_rehearsal::{Error, Ground, Outcome, Place, Progress, Rehearsal, Scenario, Terms, Which, report, table};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{check, gateway};
use crate::cli::{Global, Rehearse};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::source::{Overrides, Source};
use reserved::Reserved;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Scenario(error) => Self::Config(vec![error]),
            Error::Machine(why) | Error::Mesh(why) => Self::Machine(why),
            Error::Interrupted => Self::Machine(Error::Interrupted.to_string()),
        }
    }
}

/// Plays a scenario. Callers, workers and whoever looks share the machine's cores with the mesh.
pub(crate) fn run(arguments: &Rehearse, global: &Global, output: Output) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Machine(format!("cannot start: {error}")));
    let outcome = runtime.and_then(|runtime| runtime.block_on(rehearse(arguments, global, output)));
    super::end(outcome, output)
}

async fn rehearse(arguments: &Rehearse, global: &Global, output: Output) -> Result<Exit, Failure> {
    if arguments.list {
        return Ok(list(output));
    }
    let mut scenario = Scenario::find(arguments.scenario.as_deref().unwrap_or_default())?;
    if arguments.quick {
        scenario = scenario.quick();
    }
    if scenario.wants_own() {
        let (written, folder) = Source::find(global.config.as_deref()).written()?;
        scenario = scenario.of_own(written, &folder);
    }
    let terms = Terms { volume: arguments.volume, times: arguments.times, seed: arguments.seed };
    let seed = terms.seed.unwrap_or(scenario.time.seed);
    // Before anything is started by it.
    let problems = scenario.problems(&sides(arguments, global), seed, check::problems);
    if !problems.is_empty() {
        return Err(Failure::Config(problems));
    }
    if let Some(side) = arguments.settings {
        let settings = scenario.configuration(side.into(), seed);
        output.print(|| json!({ "settings": settings }), || settings.clone());
        return Ok(Exit::Done);
    }
    // Before minutes are played for it.
    let reserve = |path| Reserved::at(path).map_err(|error| unwritten(path, &error));
    let reserved = arguments.report.as_deref().map(reserve).transpose()?;
    let rehearsal = Rehearsal { scenario, terms, on: ground(arguments, global)?, progress: Progress::Shown };
    let outcome = rehearsal.run(&interrupts()?).await?;
    tell(reserved, &outcome, output)
}

fn list(output: Output) -> Exit {
    for (name, title) in Scenario::all() {
        output.print(|| json!({ "name": name, "title": title }), || format!("{name:<14} {title}"));
    }
    Exit::Done
}

/// The sides whose settings matter.
fn sides(arguments: &Rehearse, global: &Global) -> Vec<Which> {
    match arguments.settings {
        Some(side) => vec![side.into()],
        None if global.address.is_some() => vec![Which::On],
        None => vec![Which::Off, Which::On],
    }
}

/// Meshes of its own, or the one at the address.
fn ground(arguments: &Rehearse, global: &Global) -> Result<Ground, Failure> {
    if global.address.is_none() {
        let executable = std::env::current_exe();
        return executable
            .map(Ground::Own)
            .map_err(|error| Failure::Machine(format!("cannot find this executable: {error}")));
    }
    let gateway = gateway::find(global)?;
    let simulator = match (&arguments.simulator, &global.config) {
        (Some(url), _) => url.clone(),
        (None, Some(file)) => {
            let document = Source::find(Some(file)).load(&Overrides::new())?;
            document.section::<Mesh>("mesh")?.simulator
        }
        (None, None) => Mesh::default().simulator,
    };
    let (address, key) = (gateway.first_address(), gateway.key_text().to_owned());
    let place = Place { gateway: address, simulator, key, inside: None };
    Ok(Ground::Running { place, insists: arguments.real_ends })
}

/// Told by Ctrl-C, SIGTERM, and a terminal that is closed.
fn interrupts() -> Result<CancellationToken, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::Machine(format!("cannot listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hangup = listen(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Machine(format!(
        "the report cannot be written to {}: {error}; name another file with --report",
        path.display()
    ))
}

/// The table or the document, the report, and the exit code.
fn tell(reserved: Option<Reserved<'_>>, outcome: &Outcome, output: Output) -> Result<Exit, Failure> {
    output.print(|| json!(outcome), || table(outcome));
    if let Some(reserved) = reserved {
        let path = reserved.path;
        report::write(outcome, path).map_err(|error| unwritten(path, &error))?;
        reserved.keep();
        if !output.is_json() {
            output.print(|| json!(null), || format!("the report: {}", path.display()));
        }
    }
    Ok(if outcome.is_kept() { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mesh_would_refuse_the_settings_of_a_built_in_scenario() {
        for (name, _) in Scenario::all() {
            let whole = Scenario::find(&name).expect("it is built in");
            let (written, folder) = Source::Demo.written().expect("it is built in, too");
            let whole = if whole.wants_own() { whole.of_own(written, &folder) } else { whole };
            for scenario in [whole.clone(), whole.quick()] {
                let problems = scenario.problems(&[Which::Off, Which::On], 4, check::problems);
                assert!(problems.is_empty(), "{name}: {problems:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_on_the_side_that_comes_last_is_told_too() {
        let text = include_str!("../../../../shared/rehearsal/scenarios/surge.toml");
        let line = text.lines().position(|line| line == "agent_depth_max = 40").expect("it is there") + 1;
        let wrong = text.replace("\nagent_depth_max = 40", "\nagent_depth_max = \"many\"");
        let scenario = Scenario::parse("mine.toml", &wrong).expect("nobody has looked into its settings");
        let problems = scenario.problems(&[Which::Off, Which::On], 4, check::problems);
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with(&format!("mine.toml:{line}: on.settings.queue.agent_depth_max: ")), "{told:?}");
    }
}
