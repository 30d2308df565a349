//! The switch by which tests plant a known fault, to prove that the simulation suite finds it.

#[cfg(any(test, feature = "testing"))]
mod switch {
    use super::Fault;

    /// A set of planted faults, one bit each.
    #[derive(Debug, Clone, Copy, Default)]
    pub(crate) struct FaultSwitch(u8);

    impl FaultSwitch {
        pub(crate) fn with(self, fault: Fault) -> Self {
            Self(self.0 | 1 << fault as u8)
        }

        pub(crate) fn is_planted(self, fault: Fault) -> bool {
            self.0 & 1 << fault as u8 != 0
        }
    }
}

#[cfg(not(any(test, feature = "testing")))]
mod switch {
    use super::Fault;

    /// No fault can be planted in a build that people use; the checks fold away.
    #[derive(Debug, Clone, Copy, Default)]
    pub(crate) struct FaultSwitch(());

    impl FaultSwitch {
        pub(crate) fn is_planted(self, _fault: Fault) -> bool {
            false
        }
    }
}

pub(crate) use switch::FaultSwitch;

/// A mistake that the runtime makes on purpose when a test asks for it (see [`Host::planted`](super::Host::planted)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// State changes before the batch that records the change is committed.
    ApplyBeforeCommit,
    /// A command is answered before its batch is committed.
    AnswerBeforeCommit,
    /// A cursor is moved before what it stands for was projected.
    CursorBeforeProjection,
    /// A mailbox item stays in the mailbox when its turn takes it.
    MailboxItemNotPopped,
    /// A sequence number is handed out a second time after an unclean stop.
    SequenceNumberReused,
    /// A batch with a fencing token that is no longer the newest is accepted.
    StaleTokenAccepted,
}

impl Fault {
    /// Every fault there is.
    pub const ALL: [Fault; 6] = [
        Fault::ApplyBeforeCommit,
        Fault::AnswerBeforeCommit,
        Fault::CursorBeforeProjection,
        Fault::MailboxItemNotPopped,
        Fault::SequenceNumberReused,
        Fault::StaleTokenAccepted,
    ];
}

#[cfg(test)]
mod tests {
    use super::Fault;
    use crate::sim::Sim;

    #[test]
    fn a_planted_fault_holds_for_what_is_made_from_its_host() {
        let sim = Sim::new(1);
        let plain = sim.host();
        for planted in Fault::ALL {
            let host = plain.with_planted(planted);
            let group = host.task_group();
            for fault in Fault::ALL {
                assert_eq!(group.host().planted(fault), fault == planted);
                assert!(!plain.planted(fault));
            }
        }
        let two = plain
            .with_planted(Fault::ApplyBeforeCommit)
            .with_planted(Fault::StaleTokenAccepted);
        assert!(two.planted(Fault::ApplyBeforeCommit) && two.planted(Fault::StaleTokenAccepted));
    }
}
