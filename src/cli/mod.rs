//! One file a subcommand.

mod accept;
mod check;
mod config_args;
mod demo;
mod demo_kafka;
mod demo_page;
mod due;
mod evidence;
mod explain;
mod extract;
mod forecast;
mod hold;
mod instruct;
mod manual;
mod progress;
mod reconcile;
pub mod records;
mod remote;
mod run;
mod schema;
mod shards;
mod simulate;
mod statement;
mod status;
mod table;
pub mod topics;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Forgets customers on time: reads who did what from Kafka, and tells the systems that hold their data
/// when to warn, expire or anonymise
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Exit codes: 0 fine, 1 failed, 2 wrong usage. See each command's --help for examples.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Accept(accept::AcceptArgs),
    Check(check::CheckArgs),
    Completions(manual::CompletionsArgs),
    Demo(demo::DemoArgs),
    Due(due::DueArgs),
    Erase(hold::EraseArgs),
    Evidence(evidence::EvidenceArgs),
    Explain(explain::ExplainArgs),
    Extract(extract::ExtractArgs),
    Forecast(forecast::ForecastArgs),
    Hold(hold::HoldArgs),
    Man(manual::ManArgs),
    Reconcile(reconcile::ReconcileArgs),
    Release(instruct::ReleaseArgs),
    Run(run::RunArgs),
    Schema(schema::SchemaArgs),
    Simulate(simulate::SimulateArgs),
    Statement(statement::StatementArgs),
    Status(status::StatusArgs),
    Stop(instruct::StopArgs),
    Topics(topics::TopicsArgs),
    Unhold(hold::UnholdArgs),
}

/// Runs a subcommand.
///
/// # Errors
/// Whatever it could not do, in words that say what to do about it.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Accept(args) => accept::accept(args),
        Command::Check(args) => check::check(args),
        Command::Demo(args) => demo::demo(args),
        Command::Completions(args) => manual::completions(args),
        Command::Due(args) => due::due(args),
        Command::Erase(args) => hold::erase(args),
        Command::Explain(args) => explain::explain(args),
        Command::Forecast(args) => forecast::forecast(args),
        Command::Hold(args) => hold::hold(args),
        Command::Man(args) => manual::man(args),
        Command::Reconcile(args) => reconcile::reconcile(args),
        Command::Status(args) => status::status(args),
        Command::Unhold(args) => hold::unhold(args),
        Command::Evidence(args) => evidence::evidence(args),
        Command::Extract(args) => extract::extract(args),
        Command::Release(args) => instruct::release(args),
        Command::Run(args) => run::run(args),
        Command::Schema(args) => schema::schema(args),
        Command::Simulate(args) => simulate::simulate(args),
        Command::Statement(args) => statement::statement(args),
        Command::Stop(args) => instruct::stop(args),
        Command::Topics(args) => topics::topics(args),
    }
}
