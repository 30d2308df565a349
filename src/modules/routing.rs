//! Where something for somebody goes: from a recipient and a channel to a sink, without a clock or a module (MobKit contract,
//! section 15.1).

use serde::Serialize;
use serde_json::Value;

use crate::modules::state::{ROUTE, number_of};
use crate::storage::{Key, Record};
use crate::wire::json::{from_json, object};
use crate::wire::{ModuleError, ModuleErrorKind};

/// A route's recipient or channel that stands for any.
pub const WILDCARD_ROUTE: &str = "*";
/// The channel when none is said.
pub const DEFAULT_CHANNEL: &str = "notification";
/// The module that delivers.
pub const DELIVERY: &str = "delivery";
/// The module that is asked where something goes.
pub const ROUTER: &str = "router";
/// More retries are refused.
pub const RETRY_MAX_CAP: u32 = 10;
/// A longer pause is refused: an hour, so that what is under way ends within a day.
pub const BACKOFF_MAX_MS: u64 = 3_600_000;

/// What is to be routed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoutingResolveRequest {
    /// Whom it is for: a member, an address, a number, a URL.
    pub recipient: String,
    /// On which channel; `notification` if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How often a failed attempt is repeated; once if it is not said, ten times at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_max: Option<u32>,
    /// The pause before a repetition; 250 ms if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_ms: Option<u64>,
    /// Deliveries within a minute; two if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
}

from_json!(RoutingResolveRequest deserialize { recipient, channel, retry_max, backoff_ms, rate_limit_per_minute });

/// A rule of where something goes, over what the module `router` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeRoute {
    /// Its name.
    pub route_key: String,
    /// Whom it is about; `*` for anybody.
    pub recipient: String,
    /// Which channel it is about: `*` for any; so for none, but as if it were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where it goes, e.g. `webhook`, `mob_member`, `module`, `email`.
    pub sink: String,
    /// The module that delivers.
    pub target_module: String,
    /// As in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_max: Option<u32>,
    /// As in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_ms: Option<u64>,
    /// As in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
}

from_json!(RuntimeRoute deserialize { route_key, recipient, channel, sink, target_module, retry_max, backoff_ms, rate_limit_per_minute } deny);

/// Where something goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoutingResolution {
    /// The name of this answer; whoever delivers shows it.
    pub route_id: String,
    /// Whom it is for.
    pub recipient: String,
    /// On which channel.
    pub channel: String,
    /// Where it goes.
    pub sink: String,
    /// The module that delivers.
    pub target_module: String,
    /// How often a failed attempt is repeated.
    pub retry_max: u32,
    /// The pause before a repetition, in milliseconds.
    pub backoff_ms: u64,
    /// Deliveries within a minute.
    pub rate_limit_per_minute: u32,
}

from_json!(RoutingResolution deserialize { route_id, recipient, channel, sink, target_module, retry_max, backoff_ms, rate_limit_per_minute } deny);

impl Record for RuntimeRoute {
    type Key = String;
    fn key(&self) -> String {
        self.route_key.clone()
    }
    fn place(key: &String, prefix: &Key) -> Key {
        prefix.part(key)
    }
}

impl Record for RoutingResolution {
    type Key = u64;
    fn key(&self) -> u64 {
        number_of(&self.route_id, ROUTE).unwrap_or_default()
    }
    fn place(key: &u64, prefix: &Key) -> Key {
        prefix.number(*key)
    }
}

/// What a request comes to as long as nobody says otherwise; without a name yet.
///
/// # Errors
/// [`ModuleErrorKind`]: `InvalidRecipient`, `InvalidChannel`, `RetryMaxExceedsCap`, `BackoffExceedsCap`, `InvalidRateLimitPerMinute`.
pub fn draft(request: &RoutingResolveRequest) -> Result<RoutingResolution, ModuleError> {
    let recipient = request.recipient.trim();
    if recipient.is_empty() {
        return Err(blank(ModuleErrorKind::InvalidRecipient, "recipient"));
    }
    let channel = request.channel.as_deref().unwrap_or(DEFAULT_CHANNEL).trim();
    if channel.is_empty() {
        return Err(blank(ModuleErrorKind::InvalidChannel, "channel"));
    }
    let sink = match recipient {
        address if address.contains('@') => "email",
        number if number.starts_with('+') => "sms",
        _ => "webhook",
    };
    bounded(RoutingResolution {
        route_id: String::new(),
        recipient: recipient.to_owned(),
        channel: channel.to_owned(),
        sink: sink.to_owned(),
        target_module: DELIVERY.to_owned(),
        retry_max: request.retry_max.unwrap_or(1),
        backoff_ms: request.backoff_ms.unwrap_or(250),
        rate_limit_per_minute: request.rate_limit_per_minute.unwrap_or(2),
    })
}

/// The resolution with what the module `router` answered put over it: texts that are not blank, and whole numbers.
///
/// # Errors
/// [`ModuleErrorKind`]: `RetryMaxExceedsCap`, `BackoffExceedsCap`, `InvalidRateLimitPerMinute`.
pub fn overridden(
    mut resolution: RoutingResolution,
    answer: &Value,
) -> Result<RoutingResolution, ModuleError> {
    let texts = [
        ("channel", &mut resolution.channel),
        ("sink", &mut resolution.sink),
        ("target_module", &mut resolution.target_module),
    ];
    for (name, field) in texts {
        let text = answer.get(name).and_then(Value::as_str).map(str::trim);
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            text.clone_into(field);
        }
    }
    let number = |name: &str| answer.get(name).and_then(Value::as_u64);
    // A number that is too large is refused below, and not cut.
    let small = |name: &str| number(name).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    resolution.retry_max = small("retry_max").unwrap_or(resolution.retry_max);
    resolution.backoff_ms = number("backoff_ms").unwrap_or(resolution.backoff_ms);
    resolution.rate_limit_per_minute =
        small("rate_limit_per_minute").unwrap_or(resolution.rate_limit_per_minute);
    bounded(resolution)
}

/// The route that applies, if any: one for this recipient before one for anybody, then one for this channel (or without one)
/// before one for any, then the one whose key comes first.
pub fn matching<'a>(
    routes: impl Iterator<Item = &'a RuntimeRoute>,
    recipient: &str,
    channel: &str,
) -> Option<&'a RuntimeRoute> {
    let mut best: Option<(u8, &RuntimeRoute)> = None;
    for route in routes {
        let Some(rank) = rank(route, recipient, channel) else {
            continue;
        };
        let better = best.is_none_or(|(known, other)| {
            rank < known || rank == known && route.route_key < other.route_key
        });
        if better {
            best = Some((rank, route));
        }
    }
    best.map(|(_, route)| route)
}

/// How exactly a route fits: 0 to 3, the smaller the better; none if it does not.
fn rank(route: &RuntimeRoute, recipient: &str, channel: &str) -> Option<u8> {
    let who = match route.recipient.as_str() {
        exact if exact == recipient => 0,
        WILDCARD_ROUTE => 2,
        _ => return None,
    };
    let how = match route.channel.as_deref() {
        None => 0,
        Some(exact) if exact == channel => 0,
        Some(WILDCARD_ROUTE) => 1,
        Some(_) => return None,
    };
    Some(who + how)
}

/// The resolution with what a route says.
pub fn routed(mut resolution: RoutingResolution, route: &RuntimeRoute) -> RoutingResolution {
    resolution.sink.clone_from(&route.sink);
    resolution.target_module.clone_from(&route.target_module);
    resolution.retry_max = route.retry_max.unwrap_or(resolution.retry_max);
    resolution.backoff_ms = route.backoff_ms.unwrap_or(resolution.backoff_ms);
    resolution.rate_limit_per_minute = route
        .rate_limit_per_minute
        .unwrap_or(resolution.rate_limit_per_minute);
    resolution
}

/// A route without blanks around its texts, if it is one.
///
/// # Errors
/// [`ModuleErrorKind`]: `EmptyRouteKey`, `EmptyRecipient`, `InvalidChannel`, `EmptySink`, `EmptyTargetModule`,
/// `RetryMaxExceedsCap`, `BackoffExceedsCap`, `InvalidRateLimitPerMinute`.
pub fn checked(mut route: RuntimeRoute) -> Result<RuntimeRoute, ModuleError> {
    use ModuleErrorKind::{
        EmptyRecipient, EmptyRouteKey, EmptySink, EmptyTargetModule, InvalidChannel,
    };
    let texts = [
        (EmptyRouteKey, "route_key", Some(&mut route.route_key)),
        (EmptyRecipient, "recipient", Some(&mut route.recipient)),
        (InvalidChannel, "channel", route.channel.as_mut()),
        (EmptySink, "sink", Some(&mut route.sink)),
        (
            EmptyTargetModule,
            "target_module",
            Some(&mut route.target_module),
        ),
    ];
    for (kind, name, text) in texts {
        let Some(text) = text else {
            continue;
        };
        *text = text.trim().to_owned();
        if text.is_empty() {
            return Err(blank(kind, name));
        }
    }
    check_numbers(
        route.retry_max.unwrap_or(0),
        route.rate_limit_per_minute.unwrap_or(1),
        route.backoff_ms.unwrap_or(0),
    )?;
    Ok(route)
}

fn bounded(resolution: RoutingResolution) -> Result<RoutingResolution, ModuleError> {
    check_numbers(
        resolution.retry_max,
        resolution.rate_limit_per_minute,
        resolution.backoff_ms,
    )?;
    Ok(resolution)
}

fn check_numbers(
    retry_max: u32,
    rate_limit_per_minute: u32,
    backoff_ms: u64,
) -> Result<(), ModuleError> {
    if backoff_ms > BACKOFF_MAX_MS {
        return Err(ModuleError::new(
            ModuleErrorKind::BackoffExceedsCap,
            format!("backoff_ms must be <= {BACKOFF_MAX_MS}"),
        )
        .with(object!({ "provided": backoff_ms, "cap": BACKOFF_MAX_MS })));
    }
    if retry_max > RETRY_MAX_CAP {
        return Err(ModuleError::new(
            ModuleErrorKind::RetryMaxExceedsCap,
            format!("retry_max must be <= {RETRY_MAX_CAP}"),
        )
        .with(object!({ "provided": retry_max, "cap": RETRY_MAX_CAP })));
    }
    if rate_limit_per_minute == 0 {
        return Err(ModuleError::new(
            ModuleErrorKind::InvalidRateLimitPerMinute,
            "rate_limit_per_minute must be greater than 0",
        ));
    }
    Ok(())
}

/// What must be a text, and is blank.
pub(crate) fn blank(kind: ModuleErrorKind, name: &str) -> ModuleError {
    ModuleError::new(kind, format!("{name} must be a non-empty string"))
}
