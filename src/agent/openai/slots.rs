//! Tells which tool call a piece belongs to, for servers that number them wrongly or not at all.

use serde_json::Value;

use crate::wire::json;

/// The calls of one answer so far. Calls get consecutive numbers in the order in which they begin.
#[derive(Debug, Default)]
pub(super) struct CallSlots {
    slots: Vec<Slot>,
    /// The server's indices in use, each with the place that it stands for now.
    by_server_index: Vec<(u64, u32)>,
}

#[derive(Debug, Default)]
struct Slot {
    id: Option<String>,
    name: Option<String>,
    args: String,
}

impl CallSlots {
    /// The number of the call that this piece belongs to.
    pub(super) fn place(
        &mut self,
        index: Option<u64>,
        id: Option<&str>,
        name: Option<&str>,
        args: &str,
    ) -> u32 {
        let known = match (index, id) {
            (Some(index), _) => self.with_index(index),
            (None, Some(id)) => self.with_id(id).or_else(|| {
                self.last()
                    .filter(|last| self.slots[*last as usize].id.is_none())
            }),
            (None, None) => self.last(),
        };
        let place = match known {
            Some(slot) if !self.slots[slot as usize].is_another(id, name, args) => slot,
            _ => {
                self.slots.push(Slot::default());
                u32::try_from(self.slots.len() - 1)
                    .expect("an answer is limited to far fewer calls")
            }
        };
        if let Some(index) = index {
            self.by_server_index.retain(|known| known.0 != index);
            self.by_server_index.push((index, place));
        }
        let slot = &mut self.slots[place as usize];
        slot.id = slot.id.take().or_else(|| id.map(str::to_owned));
        slot.name = slot.name.take().or_else(|| name.map(str::to_owned));
        slot.args.push_str(args);
        place
    }

    /// Whether any call has begun.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn with_index(&self, index: u64) -> Option<u32> {
        let known = self.by_server_index.iter().find(|known| known.0 == index);
        known.map(|known| known.1)
    }

    fn with_id(&self, id: &str) -> Option<u32> {
        let at = self
            .slots
            .iter()
            .position(|slot| slot.id.as_deref() == Some(id))?;
        u32::try_from(at).ok()
    }

    fn last(&self) -> Option<u32> {
        u32::try_from(self.slots.len().checked_sub(1)?).ok()
    }
}

impl Slot {
    /// Whether the piece begins another call although the server's numbering says it is this one.
    fn is_another(&self, id: Option<&str>, name: Option<&str>, args: &str) -> bool {
        if let (Some(ours), Some(theirs)) = (&self.id, id) {
            return ours != theirs;
        }
        // Without ids: a name after a name, where this call's arguments are whole (or were none) and more follow.
        let (Some(ours), Some(theirs)) = (&self.name, name) else {
            return false;
        };
        let whole = matches!(json::parse(self.args.as_bytes()), Ok(Value::Object(_)));
        whole && (!args.trim().is_empty() || ours != theirs)
    }
}
