use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use rdkafka::error::RDKafkaErrorCode;
use tracing::{debug, info, warn};

use super::broken::{Broken, Call};
use super::endings::{fail, failed, sort};
use super::producer::{Report, Transactional, committed};
use super::refusals::Refusals;
use super::{Ended, Job};
use crate::kafka::context::Event;
use crate::kafka::error::{Meaning, StartError};
use crate::kafka::settings::Settings;
use crate::kafka::source::Bell;
use crate::stream::{Batch, PublishError};
use crate::telemetry::Counts;

/// Between two looks at what librdkafka reports while there is nothing to do.
const IDLE_MAX: Duration = Duration::from_millis(100);
/// Between two tries of the same call.
const SERVE_MAX: Duration = Duration::from_millis(100);
/// Between two log lines about the same trouble.
const REMIND_INTERVAL: Duration = Duration::from_secs(30);
/// Without a commit for so long, whoever asks whether the worker is ready is told that it is not. Longer than a
/// rebalance or an election keeps a transaction up.
const UNHEARD_MAX: Duration = Duration::from_secs(10);
/// Between two producers, where one after the other fails.
const REPLACE_WAIT: Duration = Duration::from_secs(1);
/// So often in a row a named instance takes its transactional id back before it says that two have it.
const FENCED_MAX: usize = 3;

/// Carries out transactions, one after the other.
pub(super) struct TransactionThread {
    settings: Settings,
    id: String,
    producer: Transactional,
    jobs: Receiver<Job>,
    ended: Sender<Ended>,
    bell: Bell,
    refusals: Refusals,
    counts: Arc<Counts>,
    /// Since when nothing was committed, and when that was last told.
    trouble: Option<(Instant, Instant)>,
    /// Without a commit in between.
    fenced: usize,
}

/// The source is gone, and nobody waits for the transaction any more.
struct Stopping;

// === impl TransactionThread ===

impl TransactionThread {
    /// Reaches for the brokers and for transactions. Blocks, for `startup_timeout` at most.
    pub(super) fn start(
        settings: &Settings,
        jobs: Receiver<Job>,
        ended: Sender<Ended>,
        bell: Bell,
        refusals: Refusals,
        counts: &Arc<Counts>,
    ) -> Result<(), StartError> {
        // A process of its own has an id of its own: which of two processes may commit, the group's
        // generation decides (KIP-447). A named instance that is back takes over at once from the one
        // before it.
        let instance = settings.instance_id.clone();
        let instance = instance.unwrap_or_else(|| format!("{:016x}", fastrand::u64(..)));
        let id = format!("{}-{instance}", settings.group);
        let producer = Transactional::start(settings, &id)?;
        counts.board.producer_reached.anew();
        let this = Self {
            settings: settings.clone(),
            id,
            producer,
            jobs,
            ended,
            bell,
            refusals,
            counts: Arc::clone(counts),
            trouble: None,
            fenced: 0,
        };
        const NAME: &str = "kafka-transact";
        let started = thread::Builder::new().name(NAME.to_owned()).spawn(move || this.run());
        started.map(drop).map_err(|source| StartError::Thread { name: NAME, source })
    }

    fn run(mut self) {
        loop {
            self.counts.board.publisher.beat();
            match self.jobs.recv_timeout(IDLE_MAX) {
                Ok(job) => {
                    let Ok(ended) = self.perform(job) else {
                        // Readers would wait for what is open until the brokers give it up.
                        let aborted = self.producer.abort();
                        return debug!(?aborted, "stopped in a transaction");
                    };
                    if self.ended.send(ended).is_err() {
                        return;
                    }
                    self.bell.ring();
                }
                Err(RecvTimeoutError::Timeout) => self.serve(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One transaction, to its end.
    fn perform(&mut self, job: Job) -> Result<Ended, Stopping> {
        let mut reports = Vec::with_capacity(job.batch.outputs.len());
        let mut broken = match self.attempt(&job, &mut reports)? {
            None => {
                self.counts.transactions_committed.add(1);
                self.goes_on();
                return Ok(Ended { committed: job.batch, ..Ended::default() });
            }
            Some(broken) => broken,
        };
        if let Broken::Abort(reason) = &broken {
            debug!(reason, "a transaction is aborted");
            broken = match self.call(Transactional::abort)? {
                None => broken,
                // It could not be aborted: that takes another producer.
                Some(Broken::Abort(reason)) => Broken::Replace(reason),
                Some(worse) => worse,
            };
        }
        let batch = job.batch;
        match broken {
            Broken::Abort(reason) => {
                self.trouble(&reason);
                Ok(self.aborted(batch, reports, &reason))
            }
            Broken::Fatal(reason) => Ok(self.refused(batch, reason)),
            Broken::Fenced(reason) => {
                self.fenced += 1;
                if self.settings.instance_id.is_some() && self.fenced > FENCED_MAX {
                    let reason = format!(
                        "another worker uses the transactional id {}: kafka.instance_id must differ \
                         between workers ({reason})",
                        self.id
                    );
                    return Ok(failed(batch, reason));
                }
                self.replaced(batch, &reason)
            }
            Broken::Replace(reason) => self.replaced(batch, &reason),
        }
    }

    fn attempt(
        &mut self,
        job: &Job,
        reports: &mut Vec<Report>,
    ) -> Result<Option<Broken>, Stopping> {
        if let Some(broken) = self.call(Transactional::begin)? {
            return Ok(Some(broken));
        }
        for output in &job.batch.outputs {
            let report = self.producer.send(output);
            let failure = report.failure();
            reports.push(report);
            // The rest must not go without it.
            if let Some(code) = failure {
                return Ok(Some(Broken::Abort(code.to_string())));
            }
        }
        let (offsets, group) = (&job.batch.offsets, &job.group);
        if let Some(broken) = self.call(|producer| producer.send_offsets(offsets, group))? {
            return Ok(Some(broken));
        }
        if let Some(broken) = self.delivery(reports)? {
            return Ok(Some(broken));
        }
        self.call(Transactional::commit)
    }

    /// Waits until all records are with the brokers; `None` is that they are.
    ///
    /// A commit would wait too, but when one of them has failed librdkafka sends none of the others any
    /// more, and the commit waits until they time out.
    fn delivery(&mut self, reports: &mut [Report]) -> Result<Option<Broken>, Stopping> {
        let since = Instant::now();
        loop {
            reports.iter_mut().for_each(Report::look);
            if let Some(code) = reports.iter().find_map(Report::failure) {
                return Ok(Some(Broken::Abort(code.to_string())));
            }
            if reports.iter().all(Report::is_known) {
                return Ok(None);
            }
            if self.is_stopping() {
                return Err(Stopping);
            }
            if since.elapsed() > SERVE_MAX {
                self.trouble("the brokers have not acknowledged its records");
            }
            if since.elapsed() > self.settings.transaction_timeout {
                return Ok(Some(Broken::Replace("its records are not acknowledged".to_owned())));
            }
            self.producer.serve(SERVE_MAX);
        }
    }

    /// Makes a call until it comes to something; `None` is success. Where it comes to nothing for so long
    /// that the coordinator has aborted the transaction by itself, the producer has to go.
    fn call(&mut self, call: impl Fn(&Transactional) -> Call) -> Result<Option<Broken>, Stopping> {
        let since = Instant::now();
        loop {
            match call(&self.producer) {
                Call::Done => return Ok(None),
                Call::Broken(broken) => return Ok(Some(broken)),
                Call::Again(reason) => {
                    self.producer.serve(SERVE_MAX);
                    if self.is_stopping() {
                        return Err(Stopping);
                    }
                    self.trouble(&reason);
                    if since.elapsed() > self.settings.transaction_timeout {
                        return Ok(Some(Broken::Replace(reason)));
                    }
                }
            }
        }
    }

    /// None of it will be seen. What the brokers refused is told so, the rest goes again.
    fn aborted(&self, batch: Batch, reports: Vec<Report>, why: &str) -> Ended {
        self.counts.transactions_aborted.add(1);
        let mut ended = Ended::default();
        let mut reports = reports.into_iter();
        for output in batch.outputs {
            let report = reports.next().map(|mut report| {
                report.look();
                report
            });
            let failure = report.and_then(|report| report.failure());
            match failure.map(|code| (Meaning::of(code), code)) {
                Some((Meaning::RecordRefused, code)) => {
                    if code == RDKafkaErrorCode::MessageSizeTooLarge {
                        let bytes = output.record.bytes();
                        self.refusals.note(&output.topic, bytes, Instant::now());
                    }
                    let reason = code.to_string();
                    output.failed(|topic| PublishError::Refused { topic, reason: reason.clone() });
                }
                Some((Meaning::TopicUnauthorized, code)) => {
                    let reason =
                        format!("not authorised; grant Write on {} ({code})", output.topic);
                    ended.failed.get_or_insert(reason.clone());
                    fail(output, &reason);
                }
                Some(_) | None => ended.again.push(output),
            }
        }
        debug!(why, again = ended.again.len(), "a transaction was aborted");
        ended
    }

    /// The brokers will never take a transaction of this id.
    fn refused(&self, batch: Batch, reason: String) -> Ended {
        let Self { id, settings, .. } = self;
        let reason = format!(
            "{reason}; transactional id {id}: grant Write and Describe on transactional ids that begin with \
             {}-, Read on the group, and Write on the topics",
            settings.group
        );
        failed(batch, reason)
    }

    /// Another producer takes over, which ends the transaction one way or the other. What is committed
    /// tells which: no other worker commits in a partition that is still ours, and where it is not, the
    /// output is answered as one of an earlier assignment.
    fn replaced(&mut self, batch: Batch, why: &str) -> Result<Ended, Stopping> {
        warn!(why, id = self.id, "the transactional producer is replaced");
        self.trouble(why);
        if let Some(reason) = self.take_over()? {
            return Ok(self.refused(batch, reason));
        }
        let now = loop {
            match committed(&self.settings, &batch.offsets) {
                Some(now) => break now,
                None => {
                    self.trouble("the brokers do not say what is committed");
                    self.pause(REPLACE_WAIT)?;
                }
            }
        };
        Ok(sort(batch, &now))
    }

    /// Creates producers until one owns the transactional id. A reason is final.
    fn take_over(&mut self) -> Result<Option<String>, Stopping> {
        loop {
            // Two of one id would fence each other: the new one begins when the old one is gone.
            match Transactional::new(&self.settings, &self.id) {
                Ok(producer) => self.producer = producer,
                Err(error) => return Ok(Some(error.to_string())),
            }
            self.counts.client_rebuilds.add(1);
            match self.call(Transactional::own)? {
                None => return Ok(None),
                Some(Broken::Fatal(reason)) => return Ok(Some(reason)),
                Some(Broken::Abort(reason) | Broken::Replace(reason) | Broken::Fenced(reason)) => {
                    self.trouble(&reason);
                    self.pause(REPLACE_WAIT)?;
                }
            }
        }
    }

    fn pause(&self, wait: Duration) -> Result<(), Stopping> {
        match self.jobs.recv_timeout(wait) {
            Err(RecvTimeoutError::Disconnected) => Err(Stopping),
            // One job at a time: while it is carried out, none is there.
            Err(RecvTimeoutError::Timeout) | Ok(_) => Ok(()),
        }
    }

    fn is_stopping(&self) -> bool {
        // Asked between two tries of everything that takes long.
        self.counts.board.publisher.beat();
        matches!(self.jobs.try_recv(), Err(TryRecvError::Disconnected))
    }

    fn serve(&self) {
        self.producer.serve(Duration::ZERO);
        for event in self.producer.events.try_iter() {
            if let Event::Failed(code, reason) = event {
                debug!(%code, reason, "the transactional producer reports an error");
            }
        }
    }

    fn trouble(&mut self, reason: &str) {
        let now = Instant::now();
        match &mut self.trouble {
            None => self.trouble = Some((now, now)),
            // Rebalances and elections abort a transaction now and then; what lasts is told.
            Some((since, told)) if now - *told >= REMIND_INTERVAL => {
                let seconds = (now - *since).as_secs();
                warn!(reason, seconds, "no transaction is committed; tried again");
                *told = now;
            }
            Some(_) => {}
        }
        let lasts = self.trouble.is_some_and(|(since, _)| now - since >= UNHEARD_MAX);
        self.counts.board.producer_alone.note(lasts);
    }

    fn goes_on(&mut self) {
        self.fenced = 0;
        self.counts.board.producer_alone.note(false);
        if let Some((since, told)) = self.trouble.take()
            && told > since
        {
            info!(seconds = since.elapsed().as_secs(), "transactions are committed again");
        }
    }
}
