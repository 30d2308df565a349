//! Deliveries, carried out (MobKit contract, section 15.2): to a member, a module or a webhook, or by whatever the module `delivery`
//! has.
//!
//! A delivery is accepted as a row and carried out by a task of its own, which a restart takes up again. A message to a member is put
//! into its mailbox in the very batch that says so: it is there once. Other receivers may hear of one twice, after a crash between
//! their answer and its commit, and know it by its `delivery_id`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture, ready};
use serde_json::Value;

use crate::agent::http::{HttpError, HttpRequest};
use crate::mob::{Admission, Core, Ids, MobError, Pending};
use crate::modules::calls::{MAILBOX, boundary};
use crate::modules::delivery::{
    self, DeliveryAttempt, DeliveryRecord, DeliveryRow, DeliverySendRequest, DeliveryStatus,
    HISTORY, MAX_OPEN, WindowRow,
};
use crate::modules::port::CallContext;
use crate::modules::routing::{DELIVERY, RoutingResolution, blank};
use crate::modules::state::{ROUTE, number_of, numbered};
use crate::modules::{Inner, Modules, events};
use crate::storage::{Batch, Durability};
use crate::wire::json::{self, object, value_of};
use crate::wire::{
    AgentIdentity, ContentInput, HandlingMode, ModuleError, ModuleErrorKind, WorkId,
};

/// The sink of a module's tool `delivery.receive`.
const MODULE: &str = "module";
/// The sink that posts to the recipient, which is an address.
const WEBHOOK: &str = "webhook";
/// How long a webhook may take.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// How the names of deliveries begin.
const DELIVERY_ID: &str = "delivery-";

/// What came of one attempt.
struct Attempt {
    /// What carried it out.
    adapter: Option<String>,
    /// The member whose mailbox it goes into, with the commit.
    mailbox: Option<AgentIdentity>,
    failure: Option<Failure>,
}

impl Attempt {
    /// What the module `delivery` did or did not do.
    fn of(asked: Result<Value, ModuleError>, record: &DeliveryRecord) -> Self {
        let mut attempt = Self {
            adapter: None,
            mailbox: None,
            failure: None,
        };
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) => {
                let error = boundary(ModuleErrorKind::DeliveryBoundary, error);
                attempt.failure = Some(Failure {
                    boundary: true,
                    ..Failure::new(error)
                });
                return attempt;
            }
        };
        let adapter = answer.get("adapter").and_then(Value::as_str);
        attempt.adapter = adapter.map(str::to_owned);
        let fails = |of: &Value| of.get("force_fail") == Some(&Value::Bool(true));
        if fails(&answer) || fails(&record.payload) {
            attempt.failure = Some(Failure {
                error: None,
                is_final: true,
                boundary: false,
            });
        }
        attempt
    }
}

#[derive(Clone)]
struct Failure {
    error: Option<ModuleError>,
    /// Trying again helps nothing.
    is_final: bool,
    /// The module `delivery` itself failed.
    boundary: bool,
}

impl Failure {
    fn new(error: ModuleError) -> Self {
        Self {
            error: Some(error),
            is_final: false,
            boundary: false,
        }
    }

    fn of(is_final: bool, message: String) -> Self {
        Self {
            is_final,
            ..Self::new(ModuleError::new(ModuleErrorKind::DeliveryBoundary, message))
        }
    }
}

impl Modules {
    /// Delivers something; answers when that has ended, one way or the other. With an idempotency key the same request is one delivery,
    /// whoever asks for it how often.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `DeliveryModuleNotLoaded`, `InvalidIdempotencyKey`, `IdempotencyPayloadMismatch`, `InvalidRouteId`,
    /// `UnknownRouteId`, `ForgedResolution`, `InvalidRouteTarget`, `InvalidRecipient`, `InvalidSink`, `RateLimited`;
    /// `DeliveryBoundary` when the module failed each time; [`MobError::AdmissionBacklogFull`]; storage's.
    pub fn send_delivery(&self, request: DeliverySendRequest) -> Pending<DeliveryRecord> {
        self.0.deliver(request)
    }

    /// Deliveries that have ended, the newest `limit` of those to a recipient and a sink, the oldest first.
    pub fn delivery_history(
        &self,
        recipient: Option<&str>,
        sink: Option<&str>,
        limit: usize,
    ) -> Vec<DeliveryRecord> {
        let wanted = |wanted: Option<&str>, is: &str| {
            let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
            wanted.is_none_or(|wanted| wanted == is)
        };
        let rows = self.0.state.deliveries.all();
        let mut found: Vec<DeliveryRecord> = rows
            .iter()
            .rev()
            .map(|row| &row.record)
            .filter(|record| record.status != DeliveryStatus::Sending)
            .filter(|record| wanted(recipient, &record.recipient) && wanted(sink, &record.sink))
            .take(limit)
            .cloned()
            .collect();
        found.reverse();
        found
    }
}

impl Inner {
    pub(super) fn deliver(
        self: &Rc<Self>,
        request: DeliverySendRequest,
    ) -> Pending<DeliveryRecord> {
        let inner = self.clone();
        async move {
            inner.check_works()?;
            inner.loaded_slot(DELIVERY, ModuleErrorKind::DeliveryModuleNotLoaded)?;
            let key = request.idempotency_key.as_deref();
            if key.is_some_and(|key| key.trim().is_empty()) {
                let kind = ModuleErrorKind::InvalidIdempotencyKey;
                return Err(blank(kind, "idempotency_key").into());
            }
            let staging = inner.clone();
            let admitted = inner.core.execute(Durability::Strict, move |_, batch| {
                staging.stage_delivery(batch, &request)
            });
            let number = admitted.await?;
            loop {
                let changed = inner.state.changed.notified();
                let Some(row) = inner.state.deliveries.get(&number) else {
                    // So many have ended since that it is forgotten.
                    return Err(unknown(&numbered(DELIVERY_ID, number)).into());
                };
                if !row.is_open() {
                    return ended(&row);
                }
                inner.core.check_open()?;
                inner.begin_carrying(number);
                changed.await;
            }
        }
        .boxed_local()
    }

    /// Accepts a delivery, or finds the one that is asked for again; answers its number.
    fn stage_delivery(
        &self,
        batch: &mut Batch,
        request: &DeliverySendRequest,
    ) -> Result<u64, MobError> {
        let resolution = &request.resolution;
        let rows = self.state.deliveries.staged_range(..);
        for row in &rows {
            if delivery::repeats(row, request)? {
                if row.boundary {
                    let window_ms = self.stage_rate(batch, resolution)?;
                    let mut row = row.as_ref().clone();
                    row.window_ms = window_ms;
                    row.boundary = false;
                    row.before = u32::try_from(row.record.attempts.len()).unwrap_or(u32::MAX);
                    row.record.status = DeliveryStatus::Sending;
                    row.record.error = None;
                    self.state.deliveries.put(batch, row);
                }
                return Ok(row.number);
            }
        }
        let remembered = number_of(&resolution.route_id, ROUTE)
            .and_then(|number| self.state.resolutions.staged(&number));
        delivery::check_trusted(resolution, remembered.as_deref())?;
        if rows.iter().filter(|row| row.is_open()).count() >= MAX_OPEN {
            return Err(MobError::AdmissionBacklogFull {
                what: "deliveries under way".to_owned(),
                limit: MAX_OPEN,
            });
        }
        let window_ms = self.stage_rate(batch, resolution)?;
        let number = self.state.next(batch, "delivery");
        let now = self.core.now();
        let record = DeliveryRecord {
            delivery_id: numbered(DELIVERY_ID, number),
            route_id: resolution.route_id.clone(),
            recipient: resolution.recipient.clone(),
            sink: resolution.sink.clone(),
            target_module: resolution.target_module.clone(),
            payload: request.payload.clone(),
            status: DeliveryStatus::Sending,
            attempts: Vec::new(),
            first_attempt_ms: now,
            final_attempt_ms: now,
            idempotency_key: request.idempotency_key.clone(),
            sink_adapter: None,
            error: None,
        };
        let row = DeliveryRow {
            number,
            resolution: resolution.clone(),
            record,
            before: 0,
            boundary: false,
            window_ms,
        };
        self.state.deliveries.put(batch, row);
        Ok(number)
    }

    /// Counts one more delivery, unless it is one too many; answers in which window. Windows that are over go.
    fn stage_rate(
        &self,
        batch: &mut Batch,
        resolution: &RoutingResolution,
    ) -> Result<u64, ModuleError> {
        let windows = self.state.windows.staged_range(..);
        let newest = windows.iter().map(|row| row.start_ms).max();
        let start_ms = delivery::window_start(self.now_ms(), newest.unwrap_or_default());
        let scope = self.rate_scope.of(resolution);
        let counted = windows
            .iter()
            .find(|row| row.scope == scope && row.start_ms == start_ms);
        let count = counted.map_or(0, |row| row.count);
        delivery::check_rate(resolution, start_ms, count)?;
        for over in windows.iter().filter(|row| row.start_ms < start_ms) {
            self.state.windows.delete(batch, &over.scope);
        }
        let count = count + 1;
        self.state.windows.put(
            batch,
            WindowRow {
                scope,
                start_ms,
                count,
            },
        );
        Ok(start_ms)
    }

    /// A delivery that the module never took does not count.
    fn stage_uncounted(&self, batch: &mut Batch, delivery: &DeliveryRow) {
        let scope = self.rate_scope.of(&delivery.resolution);
        let window = self.state.windows.staged(&scope);
        if let Some(row) = window.filter(|row| row.start_ms == delivery.window_ms) {
            let count = row.count.saturating_sub(1);
            let row = row.as_ref().clone();
            self.state.windows.put(batch, WindowRow { count, ..row });
        }
    }

    /// Carries out what a crash interrupted.
    pub(super) fn resume_deliveries(self: &Rc<Self>) {
        for row in self.state.deliveries.all() {
            if row.is_open() {
                self.begin_carrying(row.number);
            }
        }
    }

    fn begin_carrying(self: &Rc<Self>, number: u64) {
        if self.carried.borrow().contains(&number) {
            return;
        }
        self.carried.borrow_mut().push(number);
        let inner = self.clone();
        let carrying = async move {
            inner.carry(number).await;
            inner.carried.borrow_mut().retain(|other| *other != number);
            // Somebody may have asked anew before it was known here that it had ended.
            let row = inner.state.deliveries.get(&number);
            if row.is_some_and(|row| row.is_open()) && inner.core.check_open().is_ok() {
                inner.begin_carrying(number);
            }
        };
        self.core.host.spawn(carrying.boxed_local());
    }

    async fn carry(self: &Rc<Self>, number: u64) {
        loop {
            let row = self.state.deliveries.get(&number);
            let Some(row) = row.filter(|row| row.is_open()) else {
                return;
            };
            let attempt = self.attempt(&row).await;
            let work_id = Ids::new(&self.core.host).work();
            let again = Rc::new(Cell::new(None));
            let (inner, pause) = (self.clone(), again.clone());
            let written = self.insist("a delivery", move |core, batch| {
                pause.set(inner.stage_attempt(core, batch, number, &attempt, &work_id));
                Ok(())
            });
            // When the mob is closed, whoever opens it next carries on.
            let written = written.await;
            let Some(pause) = again.take().filter(|_| written) else {
                return;
            };
            self.core.host.sleep(pause).await;
        }
    }

    /// Writes down what came of an attempt; answers after which pause to try again.
    fn stage_attempt(
        &self,
        core: &Core,
        batch: &mut Batch,
        number: u64,
        attempt: &Attempt,
        work_id: &WorkId,
    ) -> Option<Duration> {
        let row = self
            .state
            .deliveries
            .staged(&number)
            .filter(|row| row.is_open())?;
        let mut row = row.as_ref().clone();
        let made = u32::try_from(row.record.attempts.len()).unwrap_or(u32::MAX);
        let retries = made - row.before;
        let mut failure = attempt.failure.clone();
        if let (None, Some(member)) = (&failure, &attempt.mailbox) {
            failure = post(core, batch, &row.record, member, work_id);
        }
        let retry = failure
            .as_ref()
            .is_some_and(|failure| !failure.is_final && retries < row.resolution.retry_max);
        let status = match &failure {
            None => DeliveryStatus::Sent,
            Some(_) if retry => DeliveryStatus::TransientFailure,
            Some(_) => DeliveryStatus::Failed,
        };
        let pause = if retry { row.resolution.backoff_ms } else { 0 };
        row.record.attempts.push(DeliveryAttempt {
            attempt: made + 1,
            status,
            backoff_ms: pause,
        });
        row.record.final_attempt_ms = core.now().max(row.record.first_attempt_ms);
        let error = failure.as_ref().and_then(|failure| failure.error.as_ref());
        row.record.error = error.map(ToString::to_string);
        if retry {
            self.state.deliveries.put(batch, row);
            return Some(Duration::from_millis(pause));
        }
        row.record.status = status;
        row.record.sink_adapter.clone_from(&attempt.adapter);
        row.boundary = failure.is_some_and(|failure| failure.boundary);
        if row.boundary {
            self.stage_uncounted(batch, &row);
        }
        let record = &row.record;
        let told = object!({
            "delivery_id": record.delivery_id,
            "route_id": record.route_id,
            "recipient": record.recipient,
            "sink": record.sink,
            "status": record.status,
            "attempts": value_of(&record.attempts),
        });
        let id = numbered("evt-delivery-", number);
        events::stage(
            core,
            batch,
            vec![events::event(DELIVERY, id, "send", core.now(), told)],
        );
        self.state.deliveries.put(batch, row);
        self.stage_history(batch);
        None
    }

    /// Forgets the oldest of the deliveries that have ended.
    fn stage_history(&self, batch: &mut Batch) {
        let rows = self.state.deliveries.staged_range(..);
        let ended = rows.iter().filter(|row| !row.is_open());
        let excess = ended.clone().count().saturating_sub(HISTORY);
        for row in ended.take(excess) {
            self.state.deliveries.delete(batch, &row.number);
        }
    }

    /// Tries once: the module `delivery` first, then the runtime's own sinks unless the module has done it.
    async fn attempt(&self, row: &DeliveryRow) -> Attempt {
        let (told, context) = carried(row);
        let asked = match self.loaded_slot(DELIVERY, ModuleErrorKind::DeliveryModuleNotLoaded) {
            Ok(slot) => {
                let asked = self.ask(&slot, "delivery.send", told.clone(), context.clone());
                asked.await
            }
            Err(error) => Err(error),
        };
        let mut attempt = Attempt::of(asked, &row.record);
        if attempt.failure.is_none() && attempt.adapter.is_none() {
            let carried = self.carry_to_sink(&row.record, told, context, &mut attempt);
            if let Some(carried) = carried {
                attempt.failure = carried.await.err();
            }
        }
        attempt
    }

    /// Begins what one of the runtime's own sinks does, unless that is there already.
    fn carry_to_sink(
        &self,
        record: &DeliveryRecord,
        told: Value,
        context: CallContext,
        attempt: &mut Attempt,
    ) -> Option<LocalBoxFuture<'static, Result<(), Failure>>> {
        let own = |name: &str| Some(name.to_owned());
        match record.sink.as_str() {
            MAILBOX => {
                attempt.adapter = own("mailbox");
                match AgentIdentity::new(&record.recipient) {
                    Ok(member) => attempt.mailbox = Some(member),
                    Err(error) => attempt.failure = Some(Failure::of(true, error.to_string())),
                }
                None
            }
            MODULE => {
                attempt.adapter = own(MODULE);
                let called = match self.slot(&record.recipient) {
                    Ok(slot) => slot.call("delivery.receive", told, context),
                    Err(error) => ready(Err(error)).boxed_local(),
                };
                let called = called.map(|called| called.map(|_| ()).map_err(Failure::new));
                Some(called.boxed_local())
            }
            WEBHOOK if is_address(&record.recipient) => {
                let http = self.http.as_ref()?;
                attempt.adapter = own(WEBHOOK);
                let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
                let sent = http.send(HttpRequest {
                    method: "POST".to_owned(),
                    url: record.recipient.clone(),
                    headers: vec![
                        header("content-type", "application/json"),
                        header("idempotency-key", &record.delivery_id),
                    ],
                    body: json::text(&told).into_bytes(),
                });
                let (host, url) = (self.core.host.clone(), record.recipient.clone());
                let posted = async move {
                    let answer = host.timeout(WEBHOOK_TIMEOUT, sent).await;
                    posted(
                        &url,
                        answer.map(|answer| answer.map(|answer| answer.status)),
                    )
                };
                Some(posted.boxed_local())
            }
            // What goes elsewhere is the module's alone.
            _ => None,
        }
    }
}

/// What those are told who deliver.
fn carried(row: &DeliveryRow) -> (Value, CallContext) {
    let record = &row.record;
    let told = object!({
        "delivery_id": record.delivery_id,
        "attempt": record.attempts.len() + 1,
        "route_id": record.route_id,
        "recipient": record.recipient,
        "channel": row.resolution.channel,
        "sink": record.sink,
        "payload": record.payload,
        "idempotency_key": record.idempotency_key,
    });
    let context = CallContext {
        delivery_id: Some(record.delivery_id.clone()),
        ..CallContext::default()
    };
    (told, context)
}

/// What came of a post to an address, by the answer's status.
fn posted<T>(url: &str, status: Result<Result<u16, HttpError>, T>) -> Result<(), Failure> {
    let (is_final, what) = match status {
        Ok(Ok(200..=299)) => return Ok(()),
        Ok(Ok(status)) => {
            // Whoever understands the request and refuses it does so again.
            let is_final = (400..=499).contains(&status) && ![408, 425, 429].contains(&status);
            (is_final, format!(" answered {status}"))
        }
        Ok(Err(error)) => (false, format!(": {error}")),
        Err(_) => {
            let waited = WEBHOOK_TIMEOUT.as_secs();
            (false, format!(": no answer within {waited} s"))
        }
    };
    Err(Failure::of(is_final, [url, &what].concat()))
}

/// What came of a delivery that has ended.
fn ended(row: &DeliveryRow) -> Result<DeliveryRecord, MobError> {
    if row.boundary {
        let error = row.record.error.clone().unwrap_or_default();
        let error = ModuleError::new(ModuleErrorKind::DeliveryBoundary, error);
        return Err(error
            .with(object!({ "delivery_id": row.record.delivery_id }))
            .into());
    }
    Ok(row.record.clone())
}

fn is_address(recipient: &str) -> bool {
    recipient.starts_with("https://") || recipient.starts_with("http://")
}

fn unknown(delivery_id: &str) -> ModuleError {
    let message = format!("{delivery_id} has ended and is forgotten");
    ModuleError::new(ModuleErrorKind::DeliveryBoundary, message)
        .with(object!({ "delivery_id": delivery_id }))
}

/// Puts what is delivered into a member's mailbox.
fn post(
    core: &Core,
    batch: &mut Batch,
    record: &DeliveryRecord,
    member: &AgentIdentity,
    work_id: &WorkId,
) -> Option<Failure> {
    let text = match &record.payload {
        Value::String(text) => text.clone(),
        other => json::text(other),
    };
    let admission = Admission {
        to: member.clone(),
        content: ContentInput::Text(text),
        mode: HandlingMode::Queue,
        origin: DELIVERY.to_owned(),
        by_mob: false,
        interaction_id: core.named_interaction(&["delivery", &record.delivery_id]),
        work_id: work_id.clone(),
        fingerprint: record.delivery_id.clone(),
    };
    let error = core.stage_admission(batch, &admission).err()?;
    let is_final = !matches!(error, MobError::AdmissionBacklogFull { .. });
    Some(Failure::of(is_final, error.to_string()))
}
