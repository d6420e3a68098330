//! Which choice each entrant is given: the same rule as `lua/allocate.lua`, for whoever repeats a draw.

use std::collections::HashMap;

/// What is left of each model while entrants are served in order of rank; `None`: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelsLeft(pub HashMap<String, Option<u64>>);

impl ModelsLeft {
    /// Takes the first choice of these models that is free; `None`: the entrant gets none of them.
    ///
    /// ```
    /// use gateway::domain::draw::allocation::ModelsLeft;
    /// let mut left = ModelsLeft([("air".to_owned(), Some(1)), ("mini".to_owned(), None)].into());
    /// assert_eq!(left.take(["air", "mini"]), Some("air"));
    /// assert_eq!(left.take(["air", "mini"]), Some("mini"));
    /// assert_eq!(left.take(["air", "gone"]), None);
    /// ```
    pub fn take<'m>(&mut self, models: impl IntoIterator<Item = &'m str>) -> Option<&'m str> {
        models.into_iter().find(|model| match self.0.get_mut(*model) {
            Some(Some(0)) | None => false,
            Some(None) => true,
            Some(Some(left)) => {
                *left -= 1;
                true
            }
        })
    }
}
