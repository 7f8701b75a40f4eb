//! What each command does.

mod circuits;
mod input;
mod invocations;
mod redrive;
mod rehearse;
mod service;
mod state;
mod tools;

pub(crate) mod check;
pub(crate) mod gateway;

use std::process::ExitCode;

use crate::cli::{Cli, Client, Command, Global, Service, State};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::source::Source;
use crate::{top, up};

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let output = Output::new(cli.global.json);
    let source = Source::find(cli.global.config.as_deref());
    let outcome = match cli.command {
        Command::Service(Service::State(State { command: Some(command) })) => {
            block_on(state::run(command, &cli.global, &source, output))
        }
        Command::Service(service) => return service::run(service.peer(), &source),
        Command::Up(arguments) => block_on(up::run(arguments, source, output)),
        Command::Rehearse(arguments) => return rehearse::run(&arguments, &cli.global, output),
        Command::Top(arguments) => block_on(top::run(&arguments, &cli.global, output)),
        Command::Check(arguments) => check::run(&arguments.file, output),
        Command::Client(command) => block_on(speak(command, &cli.global, output)),
    };
    end(outcome, output)
}

/// The exit code, and what there is to say.
fn end(outcome: Result<Exit, Failure>, output: Output) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.fail(|| failure.document(), || format!("holdfast: {failure}"));
            failure.exit().into()
        }
    }
}

async fn speak(command: Client, global: &Global, output: Output) -> Result<Exit, Failure> {
    let gateway = gateway::find(global)?;
    match command {
        Client::Submit(arguments) => invocations::submit(&gateway, &arguments, output).await,
        Client::Get(arguments) => invocations::get(&gateway, &arguments.id, output).await,
        Client::Watch(arguments) => invocations::watch(&gateway, &arguments, output).await,
        Client::List(arguments) => invocations::list(&gateway, &arguments, output).await,
        Client::Cancel(arguments) => invocations::cancel(&gateway, &arguments, output).await,
        Client::Redrive(arguments) => redrive::redrive(&gateway, &arguments, output).await,
        Client::Tools(arguments) => tools::run(arguments.command, &gateway, output).await,
        Client::Circuits(arguments) => circuits::run(&gateway, arguments, output).await,
    }
}

fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Machine(format!("cannot start: {error}")))?.block_on(future)
}
