//! The command line of the audit.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::harness::faults::Kind;
use crate::harness::fleet::Program;
use crate::harness::run::Plan;
use crate::harness::worker::{Delivery, Role};

/// Sends records through workers while faults strike, and accounts for every record.
#[derive(Parser)]
struct Arguments {
    /// Records to send.
    #[arg(long, default_value_t = 100_000)]
    messages: u32,
    /// Faults, one after another.
    #[arg(long, default_value_t = 24)]
    faults: usize,
    /// Draws the faults; random where absent.
    #[arg(long)]
    seed: Option<u64>,
    /// What the workers promise.
    #[arg(long, value_enum, default_value = "at-least-once")]
    delivery: Mode,
    /// Kinds of faults to draw from, comma separated; all where absent.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    only: Vec<Kind>,
    /// Kinds of faults to leave out, comma separated.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    without: Vec<Kind>,
    /// Workers commit before they publish; the audit has to notice.
    #[arg(long)]
    negative_control: bool,
    /// The crossrank program to run as worker, instead of this one with a scorer that costs nothing.
    #[arg(long, requires = "model")]
    program: Option<PathBuf>,
    /// The model of that program.
    #[arg(long)]
    model: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    AtLeastOnce,
    ExactlyOnce,
}

pub(crate) fn main() -> ExitCode {
    if let Some(role) = Role::of_this_process() {
        role.play();
        return ExitCode::SUCCESS;
    }
    let plan = plan(Arguments::parse());
    say(&plan.to_string());
    let is_hasty = plan.is_hasty;
    let Some(report) = plan.run(say) else { return ExitCode::FAILURE };
    say(&format!("\n{report}"));
    // The control is there to be found out.
    if report.is_clean() != is_hasty { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plan(arguments: Arguments) -> Plan {
    let program = match (arguments.program, arguments.model) {
        (Some(program), Some(model)) => Program::Real { program, model },
        _ => Program::Again(Vec::new()),
    };
    let is_real = matches!(program, Program::Real { .. });
    let is_wanted = |kind: &Kind| {
        (arguments.only.is_empty() || arguments.only.contains(kind))
            && !arguments.without.contains(kind)
            && !(is_real && kind.needs_test_worker())
    };
    Plan {
        messages: arguments.messages,
        faults: arguments.faults,
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        kinds: Kind::ALL.into_iter().filter(is_wanted).collect(),
        delivery: match arguments.delivery {
            Mode::AtLeastOnce => Delivery::AtLeastOnce,
            Mode::ExactlyOnce => Delivery::ExactlyOnce,
        },
        program,
        is_hasty: arguments.negative_control,
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.map(Kind::name).join(", ");
    Kind::named(name).ok_or_else(|| format!("one of {}", names()))
}

fn say(line: &str) {
    // Nobody is left to tell where standard output is gone.
    let _told = writeln!(std::io::stdout(), "{line}");
}
