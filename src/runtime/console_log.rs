//! The console log of somebody else: frames of the timeline, fed to a store of the application's (MobKit contract, section 12.3).
//!
//! The mob's own timeline is a view of its log and needs no store. One of the application's is fed behind a cursor: each frame as it
//! stands when it is told, and after it the changes of its status. Watermarks, which the original keeps with such a store, are that cursor.

use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::feed::{BATCH_SIZE, FLUSH_INTERVAL, Sink};
use super::timeline;
use crate::mob::Core;
use crate::wire::{ConsoleFrame, ConsoleFrameStatus, ConsoleTimelineEvent, TimestampMs};

/// A store of the application's for frames.
pub trait ConsoleLogStore {
    /// Takes a frame, unless it has one of that `dedupe_key`: then it keeps what it has. An error says why not; the frame comes
    /// again after a pause.
    fn append_if_absent(&self, frame: ConsoleFrame) -> LocalBoxFuture<'static, Result<(), String>>;

    /// Gives a frame another status, with the version that goes with it. One that has that version or a later one keeps it.
    fn update_frame_status(
        &self,
        id: String,
        status: ConsoleFrameStatus,
        frame_version: u64,
        updated_at_ms: Option<TimestampMs>,
    ) -> LocalBoxFuture<'static, Result<(), String>>;
}

/// What is fed: the JSON of an array of [`ConsoleTimelineEvent`]s.
pub(super) type TellFrames = Box<dyn Fn(String) -> LocalBoxFuture<'static, Result<(), String>>>;

/// Takes the events apart for a store.
pub(super) fn tell_frames(store: Rc<dyn ConsoleLogStore>) -> TellFrames {
    Box::new(move |text| {
        let store = store.clone();
        async move {
            let told: Vec<ConsoleTimelineEvent> =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            for event in told {
                match event {
                    ConsoleTimelineEvent::ConsoleFrame(frame) => {
                        store.append_if_absent(frame).await?
                    }
                    ConsoleTimelineEvent::FrameUpdated(frame) => {
                        let ConsoleFrame {
                            id,
                            status,
                            frame_version,
                            updated_at_ms,
                            ..
                        } = frame;
                        let updated =
                            store.update_frame_status(id, status, frame_version, updated_at_ms);
                        updated.await?;
                    }
                    ConsoleTimelineEvent::SnapshotStarted { .. }
                    | ConsoleTimelineEvent::SnapshotComplete { .. } => {}
                }
            }
            Ok(())
        }
        .boxed_local()
    })
}

/// The feed of a store.
pub(super) fn sink(core: &Rc<Core>, tell: TellFrames) -> Sink {
    let (core, tell) = (core.clone(), Rc::new(tell));
    Sink {
        name: "console_log",
        wants: None,
        deliver: Box::new(move |items| {
            let (core, tell) = (core.clone(), tell.clone());
            async move {
                let told = timeline::array(&core, &items).await;
                tell(told.map_err(|error| error.to_string())?).await
            }
            .boxed_local()
        }),
        batch_size: BATCH_SIZE,
        flush_interval: FLUSH_INTERVAL,
    }
}
