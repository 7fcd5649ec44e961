//! The commands. Each reads what it needs, does one thing and says what it did; the result
//! is an exit status. The one place that knows clap.
//!
//! What is listed goes to standard output, what is wrong to standard error: one line each,
//! naming the file, the key and the way out. With `--json` all of it is one document on standard
//! output.

mod arguments;
mod audit;
mod check;
mod context;
mod database;
mod day;
mod demo;
mod dmarc;
mod dns;
mod doctor;
mod explain;
mod failure;
mod import;
mod judging;
mod keeper;
mod key;
mod keystore;
mod live;
mod look;
mod message;
mod organisations;
mod output;
mod packs;
mod placing;
mod refusal;
mod report;
mod sheet;
mod sign;
mod status;
#[cfg(test)]
mod surfaces;
mod trial;
mod verify;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use self::{
    arguments::{Arguments, Command, KeeperArguments, KeeperCommand},
    context::Context,
    failure::{Failure, Told},
};
use crate::{daemon, guard, keeper::Duty};

/// The command line as it is defined, for those who write it down: manual pages, completions.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// The words of the command that was given, such as `key roll`.
fn words(matches: &ArgMatches) -> String {
    let mut words = Vec::new();
    let mut below = matches.subcommand();
    while let Some((word, matches)) = below {
        words.push(word);
        below = matches.subcommand();
    }
    words.join(" ")
}

/// Whether a program reads what is printed, so that errors are for it too.
fn wants_json() -> bool {
    let mut options = std::env::args_os().take_while(|argument| argument != "--");
    options.any(|argument| argument == "--json")
}

/// The arguments of this process, and the words of its command; or the status that it ends with,
/// after it has said why.
fn arguments() -> Result<(Arguments, String), ExitCode> {
    let parsed = Arguments::command().try_get_matches();
    let parsed = parsed.and_then(|matches| {
        let arguments = Arguments::from_arg_matches(&matches)?;
        Ok((arguments, words(&matches)))
    });
    parsed.map_err(|error| {
        if error.use_stderr() && wants_json() {
            let mut output = output::Output::new();
            output.json(&Told::usage(error.render().to_string()));
            // Nobody is left to hear of an error here.
            let _ = output.finish();
        } else {
            // Help is an error too, for clap; a closed pipe is none for us.
            let _ = error.print();
        }
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Does what the arguments of this process ask for.
pub fn main() -> ExitCode {
    if wants_json() {
        output::hold();
    }
    let (arguments, words) = match arguments() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    // All of them: a list of those that read keys would be one that something is left out of.
    let mut context = Context::new(arguments.config, words);
    if let Err(error) = guard::guard() {
        tell(&Failure::Other(error.to_string()), &mut context.output);
        return ExitCode::FAILURE;
    }
    let result = match &arguments.command {
        Command::Run => return daemon::run(context.config_file()),
        Command::Keeper(KeeperArguments {
            command: Some(KeeperCommand::Look(arguments)),
            ..
        }) => keeper::run(arguments, &mut context),
        Command::Keeper(arguments) => {
            let duty = if arguments.once {
                Duty::Once
            } else {
                Duty::Always
            };
            return crate::keeper::run(context.config_file(), duty);
        }
        Command::Demo(arguments) => return demo::run(arguments),
        Command::Check(arguments) => Ok(check::run(arguments, &mut context)),
        Command::Sign(arguments) => sign::run(arguments, &mut context),
        Command::Explain(arguments) => explain::run(arguments, &mut context),
        Command::Verify(arguments) => verify::run(arguments, &mut context),
        Command::Audit(arguments) => audit::run(arguments, &mut context),
        Command::Org(command) => organisations::run(command, &mut context),
        Command::Key(command) => key::run(command, &mut context),
        Command::Database(command) => database::run(command, &mut context),
        Command::Keystore(command) => keystore::run(command, &mut context),
        Command::Dns(command) => dns::run(command, &mut context),
        Command::Report(command) => report::run(command, &mut context),
        Command::Dmarc(command) => dmarc::run(command, &mut context),
        Command::Status(arguments) => live::status(arguments, &mut context),
        Command::Top(arguments) => live::top(arguments, &mut context),
        Command::Doctor(arguments) => doctor::run(arguments, &mut context),
        Command::Import(command) => import::run(command, &mut context),
    };
    context.say_mark_problem();
    if result.is_err() {
        context.output.forget_json();
    }
    let written = context.output.finish();
    let result = result.and_then(|status| written.map(|()| status).map_err(Failure::Output));
    let status = result.unwrap_or_else(|failure| {
        tell(&failure, &mut context.output);
        failure.status()
    });
    status.into()
}

/// Says why a command came to nothing.
fn tell(failure: &Failure, output: &mut output::Output) {
    if wants_json() && !matches!(failure, Failure::Output(_)) {
        output.json(&failure.told());
        // Nobody is left to hear of an error here.
        let _ = output.finish();
    } else {
        output::say(failure);
    }
}
