//! Transcripts: how they grow, which of them are in memory, and how they are read by whoever only looks.

use std::ops::RangeInclusive;
use std::rc::Rc;

use crate::agent::model::ChatMessage;
use crate::agent::transcript::TranscriptEntry;
use crate::mob::core::Core;
use crate::mob::error::MobError;
use crate::mob::rows::TranscriptRow;
use crate::storage::{Batch, Direction, Key};
use crate::wire::{AgentIdentity, SessionId};

/// Rows that one look for somebody's last words reads.
const LOOK: usize = 16;

fn rows_of(session: &SessionId) -> RangeInclusive<(SessionId, u64)> {
    (session.clone(), 0)..=(session.clone(), u64::MAX)
}

impl Core {
    fn transcript_place(&self, session: &SessionId) -> Key {
        self.transcripts.prefix().part(session.as_str())
    }

    /// Adds a message to a transcript that is loaded.
    pub fn write_transcript(&self, batch: &mut Batch, session: &SessionId, entry: TranscriptEntry) {
        let number = self
            .transcripts
            .last_staged_key(rows_of(session))
            .map_or(1, |(_, last)| last + 1);
        self.transcripts.put(
            batch,
            TranscriptRow {
                session_id: session.clone(),
                number,
                entry,
            },
        );
    }

    /// The transcript of a session that is loaded.
    pub fn transcript(&self, session: &SessionId) -> Vec<Rc<TranscriptRow>> {
        self.transcripts.range(rows_of(session))
    }

    /// The transcript of a session that is loaded, as the running commit would leave it.
    pub fn staged_transcript(&self, session: &SessionId) -> Vec<Rc<TranscriptRow>> {
        self.transcripts.staged_range(rows_of(session))
    }

    /// Brings a session's transcript into memory, for its member to work on. Whoever only looks reads storage.
    pub async fn load_transcript(&self, session: &SessionId) -> Result<(), MobError> {
        self.resting.borrow_mut().retain(|other| other != session);
        if self.loaded.borrow().contains_key(session) {
            return Ok(());
        }
        let place = self.transcript_place(session);
        self.transcripts
            .load_part(self.storage.as_ref(), &place)
            .await?;
        self.loaded.borrow_mut().insert(session.clone(), ());
        Ok(())
    }

    /// A member does not work on this transcript any more: it may leave the memory, unless the member's turn is still open,
    /// for closing a turn writes to its transcript.
    pub fn rest_transcript(&self, identity: &AgentIdentity, session: &SessionId) {
        let member = self.members.get(identity);
        let open = member.is_some_and(|member| member.session_id == *session)
            && self.turns.get(identity).is_some();
        if open || !self.loaded.borrow().contains_key(session) {
            return;
        }
        let mut resting = self.resting.borrow_mut();
        resting.retain(|other| other != session);
        resting.push(session.clone());
        if resting.len() > self.kit.max_sessions {
            let oldest = resting.remove(0);
            self.loaded.borrow_mut().remove(&oldest);
            self.transcripts.unload(rows_of(&oldest));
        }
    }

    /// Deletes the transcript of an incarnation that is over.
    pub fn delete_transcript(&self, batch: &mut Batch, session: &SessionId) {
        let place = self.transcript_place(session);
        self.transcripts.delete_part(batch, &place);
        // Should the commit fail it is read again.
        self.loaded.borrow_mut().remove(session);
        self.resting.borrow_mut().retain(|other| other != session);
    }

    /// A part of a transcript as it is stored, oldest first, and how many messages there are in all.
    pub async fn read_transcript(
        &self,
        session: &SessionId,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<TranscriptRow>, usize), MobError> {
        let storage = self.storage.as_ref();
        let place = self.transcript_place(session);
        let range = place.prefix_range();
        let newest = self
            .transcripts
            .look(storage, range.clone(), Direction::Backward, 1)
            .await?;
        // They are numbered from 1 on, without gaps.
        let total = newest.first().map_or(0, |row| row.number as usize);
        let end = offset.saturating_add(limit).min(total);
        if offset >= end {
            return Ok((Vec::new(), total));
        }
        let range = range
            .from(&place.number(offset as u64 + 1))
            .up_to(&place.number(end as u64));
        let rows = self
            .transcripts
            .look(storage, range, Direction::Forward, end - offset)
            .await?;
        Ok((rows, total))
    }

    /// The newest text of a member in a transcript as it is stored.
    pub async fn last_words(&self, session: &SessionId) -> Result<Option<String>, MobError> {
        let place = self.transcript_place(session);
        let mut range = place.prefix_range();
        loop {
            let rows = self
                .transcripts
                .look(
                    self.storage.as_ref(),
                    range.clone(),
                    Direction::Backward,
                    LOOK,
                )
                .await?;
            match rows.last() {
                Some(oldest) => range = range.before(&place.number(oldest.number)),
                None => return Ok(None),
            }
            let said = rows.into_iter().find_map(|row| match row.entry.message {
                ChatMessage::Assistant { text, .. } if !text.is_empty() => Some(text),
                _ => None,
            });
            if said.is_some() {
                return Ok(said);
            }
        }
    }
}
