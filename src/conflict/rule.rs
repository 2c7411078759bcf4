//! The conflict rules of a job: who wins where both sides changed a field since the ledger's base.

/// A conflict rule, as `sync.toml` words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// HQ's value is written. As the rule of a job it speaks of the whole record: whenever HQ's change of it is
    /// written, every column that HQ owns is, edited here or not.
    #[default]
    HqWins,
    /// The outlet's value stays.
    LocalWins,
    /// The later of HQ's `modified` and the row's `local_modified` wins; a tie, and a row without one, is HQ's.
    NewestWins,
    /// What one side changed is taken from it; where both did, `otherwise` decides.
    Merge,
    /// The record waits until an operator decides.
    Manual,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 5] = [Self::HqWins, Self::LocalWins, Self::NewestWins, Self::Merge, Self::Manual];

    /// The word of `sync.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::HqWins => "hq_wins",
            Self::LocalWins => "local_wins",
            Self::NewestWins => "newest_wins",
            Self::Merge => "merge",
            Self::Manual => "manual",
        }
    }
}

/// The rules of a job and of its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// `conflict` of the job.
    pub job: Rule,
    /// `otherwise`: what decides where `merge` finds a field that both sides changed. Never [`Rule::Merge`].
    pub otherwise: Rule,
    /// `conflict` of each column, in the order of the mapping's; columns beyond the end follow the job's.
    pub fields: Vec<Option<Rule>>,
    /// `local_modified`: the local column that says when the outlet last edited the row, in UTC.
    pub local_modified: Option<String>,
    /// The ledger keeps HQ's values, and not only their fingerprint.
    pub keeps_base: bool,
}

impl Rules {
    /// The rule of the column at this position.
    #[must_use]
    pub fn of(&self, column: usize) -> Rule {
        self.fields.get(column).copied().flatten().unwrap_or(self.job)
    }

    /// The rule that decides where both sides changed the column: what `merge` comes to there.
    #[must_use]
    pub fn deciding(&self, column: usize) -> Rule {
        self.resolved(self.of(column))
    }

    /// The rule that decides for the row as a whole, as where one side deleted it.
    #[must_use]
    pub fn deciding_for_row(&self) -> Rule {
        self.resolved(self.job)
    }

    /// Whether anything waits for an operator under these rules.
    #[must_use]
    pub fn has_manual(&self) -> bool {
        let has = |rule| self.resolved(rule) == Rule::Manual;
        has(self.job) || self.fields.iter().flatten().any(|rule| has(*rule))
    }

    fn resolved(&self, rule: Rule) -> Rule {
        if rule == Rule::Merge { self.otherwise } else { rule }
    }
}
