use std::io::Write;

use super::arguments::Arguments;
use super::report::Report;
use super::sets::Sets;
use super::{html, json};
use crate::cli::CliError;
use crate::cli::file::Created;
use crate::evaluation::Qrels;

/// The names of runs that are written, without white space.
const RUN_NAME: &str = "crossrank";
const FIRST_STAGE_RUN_NAME: &str = "first-stage";

/// The files that take results, those that are asked for.
#[derive(Debug)]
pub(super) struct Outputs {
    run: Option<Created>,
    first_stage_run: Option<Created>,
    html: Option<Created>,
    json: Option<Created>,
}

// === impl Outputs ===

impl Outputs {
    /// Makes all files, or empties them.
    pub(super) fn create(arguments: &Arguments) -> Result<Self, CliError> {
        let create = |path: &Option<_>| path.as_deref().map(Created::new).transpose();
        Ok(Self {
            run: create(&arguments.run)?,
            first_stage_run: create(&arguments.first_stage_run)?,
            html: create(&arguments.html)?,
            json: create(&arguments.json)?,
        })
    }

    /// Writes them.
    pub(super) fn write(
        self,
        report: &Report,
        qrels: &Qrels,
        sets: Option<&Sets>,
    ) -> Result<(), CliError> {
        if let (Some(file), Some(system)) = (self.run, report.systems.last()) {
            file.write(|out| system.run.write(out, RUN_NAME))?;
        }
        if let (Some(file), Some(sets)) = (self.first_stage_run, sets) {
            file.write(|out| sets.first_stage.write(out, FIRST_STAGE_RUN_NAME))?;
        }
        if let Some(file) = self.json {
            file.write(|out| out.write_all(json::json(report).as_bytes()))?;
        }
        if let Some(file) = self.html {
            let page = html::page(report, qrels, sets)?;
            file.write(|out| out.write_all(page.as_bytes()))?;
        }
        Ok(())
    }
}
