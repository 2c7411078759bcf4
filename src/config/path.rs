//! The way to a key in `sync.toml`, spelt `job[1].fields.price`, as serde spells it.

use std::fmt;
use std::sync::Arc;

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// To the value of a key.
    Key(String),
    /// To an element of a list.
    Index(usize),
}

/// The way from the top of the file to a key or a list's element; it shares what lies above with its neighbours, as one is
/// made for every value of the file and few are ever shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Path(Option<Arc<Link>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Link {
    above: Path,
    step: Step,
}

impl Path {
    /// The path one key further.
    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// The path of a list's element.
    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// The path of top-level and nested keys.
    pub(super) fn of<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        keys.into_iter().fold(Self::default(), |path, key| path.key(key))
    }

    /// The path one step shorter; `None` at the top.
    pub(super) fn parent(&self) -> Option<Self> {
        self.0.as_ref().map(|link| link.above.clone())
    }

    /// Whether this path is `other` or lies below it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let mut at = self;
        loop {
            match &at.0 {
                _ if at == other => return true,
                Some(link) => at = &link.above,
                None => return false,
            }
        }
    }

    /// Whether the last step is to the value of this key.
    pub(super) fn ends_with(&self, key: &str) -> bool {
        self.0.as_ref().is_some_and(|link| matches!(&link.step, Step::Key(last) if last == key))
    }

    /// The steps from the top.
    pub(super) fn steps(&self) -> Vec<&Step> {
        let (mut steps, mut at) = (Vec::new(), self);
        while let Some(link) = &at.0 {
            steps.push(&link.step);
            at = &link.above;
        }
        steps.reverse();
        steps
    }

    fn then(&self, step: Step) -> Self {
        Self(Some(Arc::new(Link { above: self.clone(), step })))
    }
}

impl From<&serde_path_to_error::Path> for Path {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        path.iter().fold(Self::default(), |path, segment| match segment {
            Segment::Seq { index } => path.index(*index),
            Segment::Map { key } => path.key(key),
            // A literal's tag and a key that is no text have no place of their own in the file.
            Segment::Enum { .. } | Segment::Unknown => path,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps().into_iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_in_the_file_and_knows_what_lies_below_it() {
        let job = Path::of(["job"]).index(1);
        let scale = job.key("fields").key("price").key("scale");
        assert_eq!(scale.to_string(), "job[1].fields.price.scale");
        assert!(scale.is_within(&job) && !job.is_within(&scale));
        assert_eq!(Path::default().parent(), None);
    }
}
