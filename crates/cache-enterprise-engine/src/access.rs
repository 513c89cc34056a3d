//! Which levels one call reads and writes.

use cache_enterprise_core::CacheLevel;

/// Which levels a call reads and which it writes. A plain call reads and writes all.
///
/// | | reads levels | runs the loader | writes levels |
/// |---|---|---|---|
/// | plain | all | when none answers | all |
/// | `refresh` | none | always | all |
/// | `bypass(x)` | all but x | when none answers | all but x, which loses what it holds |
/// | `read_only` | all | when none answers | none |
///
/// They combine: `refresh` with `read_only` runs the loader and changes nothing.
///
/// ```
/// use cache_enterprise_core::CacheLevel;
/// use cache_enterprise_engine::Access;
///
/// let access = Access::PLAIN.bypass(CacheLevel::L1).read_only();
/// assert!(!access.reads(CacheLevel::L1) && access.reads(CacheLevel::L2));
/// assert!(!access.writes(CacheLevel::L2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A bit for each level that is passed by, by its number.
    bypassed: u16,
    is_refresh: bool,
    is_read_only: bool,
}

impl Access {
    /// Reads and writes every level.
    pub const PLAIN: Self = Self { bypassed: 0, is_refresh: false, is_read_only: false };

    /// Reads no level: the loader runs, and what it gives is written. Joins no load that runs
    /// already, since that may have asked the origin too early.
    #[must_use]
    pub const fn refresh(mut self) -> Self {
        self.is_refresh = true;
        self
    }

    /// Neither reads nor fills this level. What it holds goes when a value is written to the
    /// others, so that it never answers with an older one.
    #[must_use]
    pub const fn bypass(mut self, level: CacheLevel) -> Self {
        self.bypassed |= bit(level.number());
        self
    }

    /// Writes no level.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.is_read_only = true;
        self
    }

    /// Whether a call looks for its value in this level.
    pub const fn reads(self, level: CacheLevel) -> bool {
        self.reads_number(level.number())
    }

    /// Whether what a call finds or loads is kept in this level.
    pub const fn writes(self, level: CacheLevel) -> bool {
        !self.is_read_only && !self.passes(level.number())
    }

    pub(crate) const fn is_read_only(self) -> bool {
        self.is_read_only
    }

    /// Whether no value of a level is wanted.
    pub(crate) const fn is_refresh(self) -> bool {
        self.is_refresh
    }

    /// Whether loads of other calls may give what this one does not want to read.
    pub(crate) const fn is_apart(self) -> bool {
        self.is_refresh || self.bypassed & !bit(1) != 0
    }

    pub(crate) const fn reads_number(self, level: u8) -> bool {
        !self.is_refresh && !self.passes(level)
    }

    pub(crate) const fn passes(self, level: u8) -> bool {
        self.bypassed & bit(level) != 0
    }
}

/// Levels count from 1; a backend beside them is level 0.
const fn bit(level: u8) -> u16 {
    if level < 16 { 1 << level } else { 0 }
}
