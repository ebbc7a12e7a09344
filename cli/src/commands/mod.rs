//! What the verbs do: a file each, one call and one print where that is enough.

mod acl;
mod backup;
mod config;
mod console;
mod copy;
mod delete;
mod device;
mod doctor;
mod exec;
mod forward;
mod generate;
mod image;
mod info;
pub(crate) mod init;
mod keyed;
mod launch;
mod list;
mod listener;
mod load_balancer;
mod monitor;
mod network;
mod operation;
mod power;
mod profile;
mod publish;
mod recover;
mod rename;
mod resources;
mod shell;
mod snapshot;
mod storage;
mod trash;
mod version;
mod volume;
mod volume_copy;
mod volume_file;
mod volume_snapshot;
mod wait;

use crate::args::{Backup, Cli, Command};
use crate::bus::Session;
use crate::failure::Failure;
use lxhost_model::Kind;

/// Runs a parsed command line; gives the exit status.
pub(crate) async fn run(cli: Cli) -> Result<u8, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Generate(args) => return generate::run(&args).map(|()| 0),
        Command::Version(args) => return version::run(&global, &args).await.map(|()| 0),
        Command::Doctor(args) => return doctor::run(&global, &args).await,
        Command::Backup(Backup::Verify { file, format }) => {
            return backup::verify::run(&file, format.format, global.quiet).map(|()| 0);
        }
        _ => (),
    }
    let session = Session::open(&global).await?;
    let s = &session;
    match cli.command {
        Command::Exec(args) => return exec::run(s, &args).await.map_err(|f| not_running(f, &args.name)),
        Command::Shell(args) => return shell::run(s, &args).await.map_err(|f| not_running(f, &args.name)),
        Command::Console(args) => return console::run(s, &args).await.map_err(|f| not_running(f, &args.name)),
        Command::Launch(args) => launch::run(s, &args, true).await,
        Command::Create(args) => launch::run(s, &args, false).await,
        Command::Init(args) => init::run(s, args).await,
        Command::Start(args) => power::start(s, &args).await,
        Command::Stop(args) => power::stop(s, &args, power::Verb::Stop).await,
        Command::Restart(args) => power::stop(s, &args, power::Verb::Restart).await,
        Command::Pause(args) => power::many(s, &args.which, power::Verb::Freeze).await,
        Command::Resume(args) => power::many(s, &args.which, power::Verb::Thaw).await,
        Command::Delete(args) => delete::run(s, &args).await,
        Command::Undo(args) => trash::undo(s, &args).await,
        Command::Trash(args) => trash::run(s, &args).await,
        Command::Copy(args) => copy::run(s, &args).await,
        Command::Rename(args) => rename::run(s, &args.old, &args.new).await,
        Command::Move(args) => rename::relocate(s, &args).await,
        Command::List(args) => list::run(s, &args).await,
        Command::Info(args) => info::run(s, &args).await,
        Command::Snapshot(args) => snapshot::run(s, &args).await,
        Command::Restore(args) => snapshot::restore(s, &args.snapshot).await,
        Command::Export(args) => backup::export::run(s, &args).await,
        Command::Import(args) => backup::import::run(s, &args).await,
        Command::Publish(args) => publish::run(s, &args).await,
        Command::Recover(args) => recover::run(s, &args).await,
        Command::Wait(args) => wait::run(s, &args).await,
        Command::Image(args) => image::run(s, &args).await,
        Command::Config(args) => config::run(s, &args).await,
        Command::Profile(args) => profile::run(s, &args).await,
        Command::Network(args) => network::run(s, &args).await,
        Command::Storage(args) => storage::run(s, &args).await,
        Command::Operation(args) => operation::run(s, &args).await,
        Command::Monitor(args) => monitor::run(s, &args).await,
        Command::Generate(_) | Command::Version(_) | Command::Doctor(_) | Command::Backup(_) => Ok(()),
    }
    .map(|()| 0)
}

/// What helps those who want to get into an instance that does not run.
fn not_running(failure: Failure, name: &str) -> Failure {
    match (failure.kind, &failure.hint) {
        (Some(Kind::NotRunning), None) => failure.hint(format!("lxctl start {name}")),
        _ => failure,
    }
}
